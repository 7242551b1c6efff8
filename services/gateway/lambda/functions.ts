import type { Context } from 'hono';
import type { FunctionRecord, FunctionVersion } from '../../../sdk/contract/function.ts';
import { functionNameSchema } from '../../../sdk/contract/function.ts';
import { envSchema, handlerSchema } from '../../../sdk/contract/program.ts';
import type { Deployment, ProgramDeployment } from '../../registry/registry.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { baseImageOf } from '../routes/functions.ts';
import { codeOf } from './code.ts';
import {
  configurationOf,
  handlerOf,
  labels,
  limitsOf,
  revisionOfVersion,
  runtimeOf,
} from './configuration.ts';
import { invalidParameter, LambdaError, resourceConflict } from './errors.ts';
import { latest, targetOf, versionAt } from './function-name.ts';
import { pageOf } from './paging.ts';
import { readRequest } from './read.ts';
import {
  type Configuration,
  createFunctionSchema,
  imageConfigSchema,
  updateCodeSchema,
  updateConfigurationSchema,
} from './requests.ts';
import { tagLabels, tagsIn } from './tags.ts';

type C = Context<GatewayEnv>;

/** Create, get, list, update and delete functions. */
export function functionOperations(deps: GatewayDeps) {
  const { config, registry, catalogue } = deps;
  const { ONCEBOX_BODY_MAX_BYTES: maxBytes } = config;
  const bounds = { defaults: config.ONCEBOX_DEFAULT_LIMITS, maxima: config.ONCEBOX_MAX_LIMITS };

  const shown = (c: C, name: string, version: FunctionVersion, qualifier?: string) =>
    configurationOf(c, name, version, { qualifier, bounds });

  /** What is to be deployed: what the request gives, and for the rest what was there before. */
  function settingsOf(given: Configuration, before?: FunctionVersion) {
    const role = given.Role ?? before?.labels?.[labels.role];
    const description = given.Description ?? before?.labels?.[labels.description];
    return {
      env: environmentOf(given) ?? before?.env ?? {},
      limits: limitsOf(given, bounds, before?.limits),
      ...{ isolation: before?.isolation, secrets: before?.secrets },
      labels: {
        ...keptLabels(before),
        ...(role !== undefined && { [labels.role]: role }),
        ...(description && { [labels.description]: description }),
      },
    };
  }

  /** Of an archive, without what is in it. */
  async function deploymentOf(name: string, given: Configuration, before?: FunctionVersion) {
    const runtimeId = given.Runtime ?? before?.labels?.[labels.runtime];
    const runtime = (runtimeId === undefined ? before?.runtime : undefined) ?? runtimeOf(runtimeId);
    const handler = given.Handler ?? before?.labels?.[labels.handler] ?? before?.handler;
    if (handler === undefined || handler === '')
      throw invalidParameter('Handler: is required for an archive');
    const own = handlerOf(runtime, handler);
    const checked = handlerSchema.safeParse(own);
    if (!checked.success) throw invalidParameter(`Handler: ${checked.error.issues[0]?.message}`);
    const settings = settingsOf(given, before);
    return {
      ...settings,
      ...{ name, runtime, handler: own, zygote: before?.zygote },
      image: await catalogue.resolve(before?.image?.digest ?? baseImageOf(runtime)),
      labels: {
        ...settings.labels,
        ...(runtimeId !== undefined && { [labels.runtime]: runtimeId }),
        ...(handler !== own && { [labels.handler]: handler }),
      },
    } satisfies Omit<Deployment, 'files'>;
  }

  /** An image whose own program speaks the Runtime API. */
  async function programOf(
    name: string,
    { imageUri, ...given }: Configuration & { imageUri?: string | undefined },
    before?: FunctionVersion,
  ): Promise<ProgramDeployment> {
    if (given.Handler || given.Runtime)
      throw invalidParameter('Handler and Runtime are of archives: give "ImageConfig" or nothing');
    const settings = settingsOf(given, before);
    const own: Record<string, string> = settings.labels;
    const uri = imageUri ?? own[labels.imageUri] ?? before?.image?.reference ?? '';
    const known = own[labels.imageConfig];
    const config = given.ImageConfig ?? imageConfigSchema.parse(known === undefined ? {} : JSON.parse(known));
    const isGiven = Object.values(config).some((value) => value !== undefined);
    const { EntryPoint, Command, WorkingDirectory } = config;
    return {
      ...settings,
      ...{ name, protocol: 'lambda' },
      ...{
        entrypoint: EntryPoint?.length ? EntryPoint : undefined,
        args: Command?.length ? Command : undefined,
        workdir: WorkingDirectory || undefined,
      },
      // What it was deployed from stays, whatever its name points at now.
      image: await catalogue.resolve(imageUri ?? before?.image?.digest ?? uri),
      labels: {
        ...own,
        [labels.imageUri]: uri,
        ...(isGiven && { [labels.imageConfig]: JSON.stringify(config) }),
      },
    };
  }

  async function deployed(c: C, deployment: Deployment | ProgramDeployment, isPublished: boolean) {
    const tenant = c.get('tenant');
    const { deployed: version } =
      'protocol' in deployment
        ? await registry.deployProgram({ ...deployment, tenant })
        : await registry.deploy({ ...deployment, tenant });
    if (!isPublished) return shown(c, deployment.name, version);
    const number = version.version;
    await registry.putLabels({ name: deployment.name, version: number, tenant }, { [labels.published]: '' });
    return shown(c, deployment.name, version, String(number));
  }

  return {
    async create(c: C) {
      const request = await readRequest(c, createFunctionSchema, maxBytes);
      const { FunctionName: name, Code: code, Publish: isPublished, Tags: tags } = request;
      const checked = functionNameSchema.safeParse(name);
      if (!checked.success) throw invalidParameter(`FunctionName: ${checked.error.issues[0]?.message}`);
      requireArchitecture(request.Architectures);
      const tenant = c.get('tenant');
      if (await isThere(deps, name, tenant)) throw resourceConflict(`Function already exist: ${name}`);
      const all =
        request.PackageType === 'Image'
          ? await programOf(name, { ...request, imageUri: required('Code.ImageUri', code.ImageUri) })
          : await withCode(deploymentOf(name, request), required('Code.ZipFile', code.ZipFile), maxBytes);
      const made = await deployed(c, all, isPublished);
      if (Object.keys(tags).length > 0) await registry.putLabels({ name, tenant }, tagLabels(tags));
      return c.json(made, 201);
    },

    async get(c: C) {
      const { name, qualifier } = targetOf(c);
      const tenant = c.get('tenant');
      const record = await registry.get(name, tenant);
      const version = versionAt(record, qualifier);
      const { concurrency } = await registry.getSettings(name, tenant);
      const tags = tagsIn(record);
      const { labels: own = {}, image } = version;
      return c.json({
        Configuration: shown(c, name, version, qualifier),
        Code:
          version.codeLayer === undefined
            ? {
                RepositoryType: 'ECR',
                ImageUri: own[labels.imageUri] ?? image?.reference,
                ResolvedImageUri: `${image?.reference}@${image?.digest}`,
              }
            : { RepositoryType: 'oncebox' },
        ...(Object.keys(tags).length > 0 && { Tags: tags }),
        ...(concurrency !== undefined && { Concurrency: { ReservedConcurrentExecutions: concurrency } }),
      });
    },

    async configuration(c: C) {
      const { name, qualifier } = targetOf(c);
      const version = versionAt(await registry.get(name, c.get('tenant')), qualifier);
      return c.json(shown(c, name, version, qualifier));
    },

    async list(c: C) {
      const tenant = c.get('tenant');
      const { items, next } = pageOf(c, await registry.list(tenant), ({ name }) => name);
      if (c.req.query('FunctionVersion') !== 'ALL')
        return c.json({ Functions: items.map((version) => shown(c, version.name, version)), ...next });
      const records = await Promise.all(items.map(({ name }) => registry.get(name, tenant)));
      return c.json({ Functions: records.flatMap((record) => versionsOf(c, record, shown)), ...next });
    },

    async updateCode(c: C) {
      const { name } = targetOf(c);
      const request = await readRequest(c, updateCodeSchema, maxBytes);
      requireArchitecture(request.Architectures);
      const before = versionAt(await registry.get(name, c.get('tenant')));
      requireRevision(request.RevisionId, revisionOfVersion(before));
      const all =
        before.codeLayer === undefined
          ? await programOf(name, { imageUri: required('ImageUri', request.ImageUri) }, before)
          : await withCode(deploymentOf(name, {}, before), required('ZipFile', request.ZipFile), maxBytes);
      if (request.DryRun) return c.json(shown(c, name, before));
      return c.json(await deployed(c, all, request.Publish));
    },

    async updateConfiguration(c: C) {
      const { name } = targetOf(c);
      const request = await readRequest(c, updateConfigurationSchema, maxBytes);
      const before = versionAt(await registry.get(name, c.get('tenant')));
      requireRevision(request.RevisionId, revisionOfVersion(before));
      if (before.codeLayer === undefined)
        return c.json(await deployed(c, await programOf(name, request, before), false));
      const deployment = await deploymentOf(name, request, before);
      const files = await registry.filesOf(before.codeLayer);
      return c.json(await deployed(c, { ...deployment, files }, false));
    },

    async delete(c: C) {
      const { name, qualifier } = targetOf(c);
      const tenant = c.get('tenant');
      if (qualifier === undefined) await registry.delete(name, tenant);
      else if (/^[1-9]\d{0,8}$/.test(qualifier))
        await registry.deleteVersion(name, Number(qualifier), tenant);
      else throw invalidParameter(`Qualifier: ${qualifier} cannot be deleted: it is no version's number`);
      return c.body(null, 204);
    },
  };
}

/** `$LATEST` and what was published, in that order. */
export function versionsOf(
  c: C,
  record: FunctionRecord,
  shown: (c: C, name: string, version: FunctionVersion, qualifier?: string) => object,
): object[] {
  const published = record.versions.filter(({ labels: own }) => own?.[labels.published] !== undefined);
  return [
    shown(c, record.name, versionAt(record), latest),
    ...published.map((version) => shown(c, record.name, version, String(version.version))),
  ];
}

/** Throws PreconditionFailedException where it is not what the caller has seen. */
export function requireRevision(given: string | undefined, actual: string): void {
  if (given === undefined || given === actual) return;
  throw new LambdaError(
    'PreconditionFailedException',
    412,
    'The RevisionId provided does not match the latest RevisionId. Call the GetFunction or the GetAlias API to retrieve the latest RevisionId',
  );
}

async function isThere({ registry }: GatewayDeps, name: string, tenant: string): Promise<boolean> {
  try {
    await registry.getSettings(name, tenant);
    return true;
  } catch (error) {
    if (error instanceof PlatformError && error.code === 'function_not_found') return false;
    throw error;
  }
}

function environmentOf({ Environment }: Configuration): Record<string, string> | undefined {
  if (Environment === undefined) return undefined;
  const parsed = envSchema.safeParse(Environment.Variables ?? {});
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: 'invalid' };
  throw invalidParameter(`Environment.Variables.${path.map(String).join('.')}: ${message}`);
}

/** What a new version has from the one before: not what is said anew, and not that it was published. */
function keptLabels(before: FunctionVersion | undefined): Record<string, string> {
  const own: Record<string, string> = { ...before?.labels };
  for (const label of [labels.published, labels.handler, labels.description]) delete own[label];
  return own;
}

function requireArchitecture(architectures: readonly string[] | undefined): void {
  const here = process.arch === 'arm64' ? 'arm64' : 'x86_64';
  const other = architectures?.find((architecture) => architecture !== here);
  if (other !== undefined) throw invalidParameter(`Architectures: this platform is ${here} and not ${other}`);
}

/** The archive's files, and what Lambda says of them. */
async function withCode(
  preparing: Promise<Omit<Deployment, 'files'>>,
  zip: string,
  bodyMaxBytes: number,
): Promise<Deployment> {
  const deployment = await preparing;
  const { files, labels: ofCode } = await codeOf(zip, bodyMaxBytes);
  return { ...deployment, files, labels: { ...deployment.labels, ...ofCode } };
}

function required(field: string, value: string | undefined): string {
  if (value === undefined || value === '')
    throw invalidParameter(`${field}: is required for this package type`);
  return value;
}
