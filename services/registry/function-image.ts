import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  type FunctionVersion,
  functionProtocolSchema,
  functionRuntimeSchema,
} from '../../sdk/contract/function.ts';
import { imageConfigSchema } from '../../sdk/contract/image.ts';
import { isolationSchema } from '../../sdk/contract/isolation.ts';
import { labelsSchema } from '../../sdk/contract/labels.ts';
import { handlerSchema } from '../../sdk/contract/program.ts';
import { secretNamesSchema } from '../../sdk/contract/secret.ts';
import { PlatformError } from '../shared/platform-error.ts';

/*
 * A function's version as an OCI image: the layers of the image below and one of code, with what the platform must
 * know to call it in labels. Another platform that has the image can deploy it as it is.
 */

const functionLabels = {
  runtime: 'dev.oncebox.runtime',
  handler: 'dev.oncebox.handler',
  /** Instead of those two: how the image's own program is called. */
  protocol: 'dev.oncebox.protocol',
  /** JSON object of the caps that the version has of its own. */
  limits: 'dev.oncebox.limits',
  /** "false", or not there. */
  zygote: 'dev.oncebox.zygote',
  /** Not there: native. */
  isolation: 'dev.oncebox.isolation',
  /** JSON array of the names of secrets; not there: none. */
  secrets: 'dev.oncebox.secrets',
  /** JSON object of the version's own labels; not there: none. */
  labels: 'dev.oncebox.labels',
} as const;

const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};
/** A registry takes either family of names, but not both in one manifest. */
const dockerLayerTypes: Record<string, string> = {
  'application/vnd.docker.image.rootfs.diff.tar': mediaTypes.layer,
  'application/vnd.docker.image.rootfs.diff.tar.gzip': `${mediaTypes.layer}+gzip`,
  'application/vnd.docker.image.rootfs.diff.tar.zstd': `${mediaTypes.layer}+zstd`,
};
/** Nothing in an image may depend on when it was made, or the same deploy would have another digest each time. */
const epoch = '1970-01-01T00:00:00Z';

const baseManifestSchema = z.object({
  layers: z.array(z.object({ mediaType: z.string(), digest: z.string(), size: z.number() })),
});
const baseConfigSchema = z.object({
  architecture: z.string(),
  os: z.string(),
  variant: z.string().optional(),
  config: z.looseObject(imageConfigSchema.shape).nullish(),
  rootfs: z.object({ diff_ids: z.array(z.string()) }),
  history: z.array(z.looseObject({ empty_layer: z.boolean().optional() })).nullish(),
});

/** The texts that the digests are of. */
export interface ImageTexts {
  manifestJson: string;
  configJson: string;
}

export interface FunctionImage extends ImageTexts {
  digest: string;
}

export interface FunctionSettings
  extends Pick<
    FunctionVersion,
    'runtime' | 'handler' | 'protocol' | 'env' | 'limits' | 'zygote' | 'isolation' | 'secrets' | 'labels'
  > {
  /** Absent where the image holds the code. */
  codeLayer?: { hex: string; sizeBytes: number };
  /** In place of what the image's configuration says of its program. */
  command?: { entrypoint?: string[] | undefined; args?: string[] | undefined; workdir?: string | undefined };
}

/** The same settings on the same image give the same bytes, in whatever order they came. */
export function composeFunctionImage(base: ImageTexts, settings: FunctionSettings): FunctionImage {
  const { runtime, handler, protocol, limits, zygote, isolation, secrets = [] } = settings;
  const { labels: own = {}, codeLayer, command = {} } = settings;
  const { layers } = baseManifestSchema.parse(JSON.parse(base.manifestJson));
  const { architecture, os, variant, config, rootfs, history } = baseConfigSchema.parse(
    JSON.parse(base.configJson),
  );
  const ofFunctions: readonly string[] = Object.values(functionLabels);
  const inherited = Object.entries(config?.Labels ?? {}).filter(([name]) => !ofFunctions.includes(name));
  const labels: Record<string, string> = {
    ...Object.fromEntries(inherited),
    ...(runtime !== undefined && { [functionLabels.runtime]: runtime }),
    ...(handler !== undefined && { [functionLabels.handler]: handler }),
    ...(protocol !== undefined && { [functionLabels.protocol]: protocol }),
    [functionLabels.limits]: JSON.stringify(sorted(limits)),
    ...(zygote === false && { [functionLabels.zygote]: 'false' }),
    ...(isolation !== undefined && { [functionLabels.isolation]: isolation }),
    ...(secrets.length > 0 && { [functionLabels.secrets]: JSON.stringify(secrets.toSorted()) }),
    ...(Object.keys(own).length > 0 && { [functionLabels.labels]: JSON.stringify(sorted(own)) }),
  };
  const { entrypoint, args, workdir } = command;
  const code = codeLayer && {
    mediaType: mediaTypes.layer,
    digest: `sha256:${codeLayer.hex}`,
    size: codeLayer.sizeBytes,
  };
  // One entry a layer is what readers of a history expect.
  const below = history ?? rootfs.diff_ids.map(() => ({ created: epoch }));
  const configJson = JSON.stringify({
    created: epoch,
    architecture,
    os,
    ...(variant !== undefined && { variant }),
    config: {
      ...config,
      ...(entrypoint && { Entrypoint: entrypoint, Cmd: null }),
      ...(args && { Cmd: args }),
      ...(workdir !== undefined && { WorkingDir: workdir }),
      Env: Object.entries({ ...envOf(config?.Env), ...sorted(settings.env) }).map(
        ([name, value]) => `${name}=${value}`,
      ),
      Labels: sorted(labels),
    },
    rootfs: { type: 'layers', diff_ids: [...rootfs.diff_ids, ...(code ? [code.digest] : [])] },
    history: [
      ...below,
      { created: epoch, created_by: 'oncebox deploy', ...(!code && { empty_layer: true }) },
    ],
  });
  const manifestJson = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: {
      mediaType: mediaTypes.config,
      digest: digestOf(configJson),
      size: Buffer.byteLength(configJson),
    },
    layers: [
      ...layers.map(({ mediaType, digest, size }) => ({
        mediaType: dockerLayerTypes[mediaType] ?? mediaType,
        digest,
        size,
      })),
      ...(code ? [code] : []),
    ],
  });
  return { manifestJson, configJson, digest: digestOf(manifestJson) };
}

function jsonLabel<Schema extends z.ZodType>(schema: Schema, what: string, absent: string) {
  return z
    .string()
    .default(absent)
    .transform((text, context): z.output<Schema> => {
      try {
        return schema.parse(JSON.parse(text));
      } catch {
        context.addIssue({ code: 'custom', message: `must be ${what}` });
        return z.NEVER;
      }
    });
}

const labelsOfAll = {
  [functionLabels.limits]: jsonLabel(z.record(z.string(), z.number()), 'a JSON object of numbers', '{}'),
  [functionLabels.zygote]: z.enum(['true', 'false']).optional(),
  [functionLabels.isolation]: isolationSchema.optional(),
  [functionLabels.secrets]: jsonLabel(secretNamesSchema, "a JSON array of secrets' names", '[]'),
  [functionLabels.labels]: jsonLabel(labelsSchema, 'a JSON object of strings', '{}'),
};
const labelsOfCodeSchema = z.object({
  [functionLabels.runtime]: functionRuntimeSchema,
  [functionLabels.handler]: handlerSchema,
  ...labelsOfAll,
});
const labelsOfProgramSchema = z.object({
  [functionLabels.protocol]: functionProtocolSchema,
  ...labelsOfAll,
});

/** What the labels of a pushed version say. Throws PlatformError `invalid_request` when it is not one. */
export function readFunctionImage({ configJson }: ImageTexts): Omit<FunctionSettings, 'codeLayer'> {
  const { config } = baseConfigSchema.parse(JSON.parse(configJson));
  const hasProgram = config?.Labels?.[functionLabels.protocol] !== undefined;
  const schema = hasProgram ? labelsOfProgramSchema : labelsOfCodeSchema;
  const labels = schema.safeParse(config?.Labels ?? {});
  if (!labels.success) {
    const { path, message } = labels.error.issues[0] ?? { path: [], message: 'invalid' };
    throw new PlatformError(
      'invalid_request',
      `the image is no function's version: its label ${path[0]?.toString() ?? ''}: ${message}; give "runtime", ` +
        '"handler" and "files" to put code on it',
      { field: 'image' },
    );
  }
  const { [functionLabels.isolation]: isolation, [functionLabels.secrets]: secrets } = labels.data;
  const own = labels.data[functionLabels.labels];
  const called =
    functionLabels.protocol in labels.data
      ? { protocol: labels.data[functionLabels.protocol] }
      : { runtime: labels.data[functionLabels.runtime], handler: labels.data[functionLabels.handler] };
  return {
    ...called,
    limits: labels.data[functionLabels.limits],
    env: envOf(config?.Env),
    ...(labels.data[functionLabels.zygote] === 'false' && { zygote: false }),
    ...(isolation && isolation !== 'native' && { isolation }),
    ...(secrets.length > 0 && { secrets: secrets.toSorted() }),
    ...(Object.keys(own).length > 0 && { labels: own }),
  };
}

/** What an image's configuration adds to every program's environment, and whom it wants it to run as. */
export function settingsOf({ configJson }: ImageTexts): { env: Record<string, string>; user?: string } {
  const { config } = baseConfigSchema.parse(JSON.parse(configJson));
  return { env: envOf(config?.Env), ...(config?.User && { user: config.User }) };
}

/** What an image runs for itself. Throws PlatformError `invalid_request` when that is nothing. */
export function programOf({ configJson }: ImageTexts): {
  argv: string[];
  args: string[];
  workingDir: string;
} {
  const { config } = baseConfigSchema.parse(JSON.parse(configJson));
  const args = config?.Cmd ?? [];
  const argv = [...(config?.Entrypoint ?? []), ...args];
  if (argv.length > 0) return { argv, args, workingDir: config?.WorkingDir || '/' };
  throw new PlatformError(
    'invalid_request',
    'there is nothing to run: the image has neither Entrypoint nor Cmd; give "entrypoint" or "args"',
    { field: 'entrypoint' },
  );
}

export function envOf(variables: readonly string[] | null | undefined): Record<string, string> {
  const pairs = (variables ?? []).map((variable): [string, string] => {
    const at = variable.indexOf('=');
    return at < 0 ? [variable, ''] : [variable.slice(0, at), variable.slice(at + 1)];
  });
  return Object.fromEntries(pairs.filter(([name]) => name !== ''));
}

function sorted<Value>(record: Record<string, Value>): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
