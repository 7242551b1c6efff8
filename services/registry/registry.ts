import { z } from 'zod';
import {
  type DeployedFunction,
  deployedFunctionSchema,
  type FunctionRecord,
  type FunctionVersion,
  functionVersionSchema,
} from '../../sdk/contract/function.ts';
import { parseFunctionReference } from '../../sdk/contract/function-reference.ts';
import type { Labels } from '../../sdk/contract/labels.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { isRedisFull } from '../queue/make-room.ts';
import { type RedisRoom, redisUsedUp } from '../queue/redis-room.ts';
import { secretsKey } from '../secrets/stored-secret.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { type Aliases, aliasesIn, aliasNotFound, createAliases } from './aliases.ts';
import { type CodeFile, packCodeLayer } from './code-layer.ts';
import {
  composeFunctionImage,
  type FunctionImage,
  type FunctionSettings,
  type ImageTexts,
  programOf,
  readFunctionImage,
  settingsOf,
} from './function-image.ts';
import { handlerFileCandidates } from './handler-file.ts';
import { type KeptVersion, keptVersions } from './kept-versions.ts';
import { functionNotFound, layerKey, layerUsersKey, tenantKeys, tenantsKey } from './keys.ts';
import { createLabelStore, type LabelStore, labelsIn } from './labels.ts';
import { deleteScript, deployScript, resolveScript } from './scripts.ts';
import { createSettings, type Settings } from './settings.ts';
import { createVersions, parseVersion, type Versions, versionNotFound, versionsIn } from './versions.ts';

/** The image that a version stands on, as a catalogue or store knows it. */
interface BaseImage extends ImageTexts {
  reference: string;
  digest: string;
}

export interface Deployment {
  /** Whose it is; the default tenant's unless given. */
  tenant?: string;
  name: string;
  image: BaseImage;
  runtime: NonNullable<FunctionVersion['runtime']>;
  handler: string;
  env: Record<string, string>;
  limits: Record<string, number>;
  zygote?: boolean | undefined;
  isolation?: FunctionVersion['isolation'];
  /** Names. */
  secrets?: readonly string[] | undefined;
  labels?: Labels | undefined;
  files: CodeFile[];
}

/** Of an image whose own program is called. */
export interface ProgramDeployment
  extends Pick<
      Deployment,
      'tenant' | 'name' | 'image' | 'env' | 'limits' | 'isolation' | 'secrets' | 'labels'
    >,
    NonNullable<FunctionSettings['command']> {
  protocol: NonNullable<FunctionVersion['protocol']>;
}

/** A version with what an invocation needs of its image. */
export interface ResolvedFunction extends DeployedFunction {
  /** All of the image's Env, the version's own included. */
  programEnv: Record<string, string>;
  /** The image's User. */
  user?: string | undefined;
  /** With `protocol`: what is executed, what of it are arguments, and where. */
  argv?: string[] | undefined;
  args?: string[] | undefined;
  workingDir?: string | undefined;
}

/** A version of which sandboxes are to be kept parked. */
export type KeptFunction = KeptVersion<ResolvedFunction>;

/** A version as an image. */
interface VersionImage extends FunctionImage {
  /** What its code is stacked on; the version itself where it was deployed from an image. */
  base: { reference: string; digest: string };
  /** At `layerKey`; absent where the image holds the code. */
  codeLayer?: string | undefined;
}

/** Functions and their immutable versions, on Redis. Each is a tenant's: the default one's unless given. */
export interface Registry extends Aliases, Versions, Settings, LabelStore {
  /**
   * Stores a version and points the name at it. What was deployed before under this name gets its old version
   * number back: `created` is false then. Throws PlatformError `invalid_request` if no file can hold the handler, and
   * `unavailable` if the memory of Redis does not hold it.
   */
  deploy(deployment: Deployment): Promise<{ deployed: DeployedFunction; created: boolean }>;
  /** As `deploy`, without code. Throws `invalid_request` if the image has nothing to run. */
  deployProgram(deployment: ProgramDeployment): Promise<{ deployed: DeployedFunction; created: boolean }>;
  /** As `deploy`, of a version that another registry made: the digest stays. Throws `invalid_request` if it is none. */
  deployImage(
    name: string,
    image: BaseImage,
    tenant?: string,
  ): Promise<{ deployed: DeployedFunction; created: boolean }>;
  /**
   * What `name`, `name:version` or `name:alias` stands for now; of an alias with weights, another one each time. Throws
   * `function_not_found`, `version_not_found` or `alias_not_found`, and `secret_missing` where it could not run.
   */
  resolve(reference: string, tenant?: string): Promise<ResolvedFunction>;
  /** Throws `function_not_found`. */
  get(name: string, tenant?: string): Promise<FunctionRecord>;
  /**
   * A version, the current one unless given. Throws `function_not_found`, and `invalid_request` for a version that an
   * earlier release stored without its image.
   */
  imageOf(name: string, version?: number, tenant?: string): Promise<VersionImage>;
  /** Sorted by name. */
  list(tenant?: string): Promise<DeployedFunction[]>;
  /** What the versions of all tenants' functions stand on: digests of images, and code layers in hex. */
  pinned(): Promise<{ images: Set<string>; layers: Set<string> }>;
  /**
   * Of all tenants' functions of which `countOf` their settings is more than none: that many of the current version, and of each
   * alias, shared out by its weights and rounded up.
   */
  kept(countOf: (settings: unknown) => number): Promise<KeptFunction[]>;
  /** Removes all versions, and the layers that no other function uses. Throws `function_not_found`. */
  delete(name: string, tenant?: string): Promise<void>;
}

const storedVersionSchema = functionVersionSchema.extend({
  programEnv: z.record(z.string(), z.string()).optional(),
  user: z.string().optional(),
  /** Of an image whose own program is called: that, what of it are arguments, and where it runs. */
  argv: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  workingDir: z.string().optional(),
});
type StoredVersion = Omit<z.infer<typeof storedVersionSchema>, 'version' | 'createdAt'>;
const imageTextsSchema = z.object({ manifestJson: z.string(), configJson: z.string() });

/** Without a `room` nothing is claimed: who deploys needs one. `draw` is what aliases with weights choose by, 0 to below 1. */
export function createRegistry(redis: Redis, room?: RedisRoom, draw: () => number = Math.random): Registry {
  async function find(
    tenant: string | undefined,
    name: string,
    which: string,
    isToRun: boolean,
  ): Promise<ResolvedFunction> {
    const keys = [tenantKeys(tenant).function(name), secretsKey(tenant)];
    const found = await redis.eval(resolveScript, 2, ...keys, which, draw());
    if (found === 'alias') throw aliasNotFound(name, which);
    if (found === 'version') throw versionNotFound(name, Number(which));
    if (!Array.isArray(found)) throw functionNotFound(name);
    const version = parseVersion(storedVersionSchema, found[0], found[1]);
    const missing = String(found[2] ?? '').trim();
    if (missing !== '' && isToRun) throw secretMissing(name, version.version, missing);
    return { name, ...version, programEnv: version.programEnv ?? version.env };
  }

  interface Storing {
    name: string;
    tenant: string | undefined;
    version: StoredVersion;
    image: ImageTexts;
    /** Absent where the image holds the code. */
    tar?: Uint8Array;
  }

  async function store({ name, tenant, version, image, tar }: Storing) {
    const { codeLayer = '' } = version;
    const keys = tenantKeys(tenant);
    const versionJson = JSON.stringify({ ...version, createdAt: new Date().toISOString() });
    const imageJson = JSON.stringify({ manifestJson: image.manifestJson, configJson: image.configJson });
    // A layer that is there already takes nothing.
    const isNew = tar !== undefined && (await redis.exists(layerKey(codeLayer))) === 0;
    const bytes = versionJson.length + imageJson.length + (isNew ? tar.byteLength : 0);
    await room?.claimToKeep(bytes, 'deploy');
    const storing = redis.eval(
      deployScript,
      5,
      ...[keys.function(name), keys.names, layerKey(codeLayer), layerUsersKey(codeLayer), tenantsKey],
      ...[name, version.digest, versionJson, codeLayer],
      tar ? Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength) : '',
      ...[imageJson, keys.user(name), keys.tenant, (version.secrets ?? []).join(' ')],
    );
    const reply = await storing.catch((error: unknown) => {
      throw isRedisFull(error) ? redisUsedUp('deploy', error) : error;
    });
    const [created, number, text] = reply as [number, number, string];
    const deployed = { name, ...parseVersion(functionVersionSchema, number, text) };
    return { deployed, created: created === 1 };
  }

  return {
    ...createAliases(redis),
    ...createVersions(redis),
    ...createSettings(redis),
    ...createLabelStore(redis),

    async deploy({
      tenant,
      name,
      image,
      runtime,
      handler,
      env,
      limits,
      zygote,
      isolation,
      secrets = [],
      labels = {},
      files,
    }) {
      requireHandlerFile(runtime, handler, files);
      const { tar, digest: codeLayer } = packCodeLayer(files);
      const settings = {
        runtime,
        handler,
        env,
        limits,
        ...(zygote === false && { zygote }),
        ...(isolation && isolation !== 'native' && { isolation }),
        ...(secrets.length > 0 && { secrets: secrets.toSorted() }),
        ...(Object.keys(labels).length > 0 && { labels }),
      };
      const made = composeFunctionImage(image, {
        ...settings,
        codeLayer: { hex: codeLayer, sizeBytes: tar.byteLength },
      });
      const { env: programEnv, user } = settingsOf(made);
      const sizeBytes = files.reduce((sum, file) => sum + file.data.byteLength, 0);
      const base = { reference: image.reference, digest: image.digest };
      const version = {
        digest: made.digest,
        ...settings,
        image: base,
        codeLayer,
        sizeBytes,
        programEnv,
        user,
      };
      return store({ name, tenant, version, image: made, tar });
    },

    async deployProgram({ tenant, name, image, entrypoint, args, workdir, ...given }) {
      const { protocol, env, limits, isolation, secrets = [], labels = {} } = given;
      const settings = {
        protocol,
        env,
        limits,
        ...(isolation && isolation !== 'native' && { isolation }),
        ...(secrets.length > 0 && { secrets: secrets.toSorted() }),
        ...(Object.keys(labels).length > 0 && { labels }),
      };
      const made = composeFunctionImage(image, { ...settings, command: { entrypoint, args, workdir } });
      const { env: programEnv, user } = settingsOf(made);
      const base = { reference: image.reference, digest: image.digest };
      const ofImage = { image: base, sizeBytes: 0, programEnv, user, ...programOf(made) };
      const version = { digest: made.digest, ...settings, ...ofImage };
      return store({ name, tenant, version, image: made });
    },

    async deployImage(name, image, tenant) {
      const settings = readFunctionImage(image);
      const { env: programEnv, user } = settingsOf(image);
      const { reference, digest } = image;
      const program = settings.protocol === undefined ? {} : programOf(image);
      const ofImage = { image: { reference, digest }, sizeBytes: 0, programEnv, user, ...program };
      return store({ name, tenant, version: { digest, ...settings, ...ofImage }, image });
    },

    async resolve(reference, tenant) {
      const parsed = parseFunctionReference(reference);
      if (!parsed) throw functionNotFound(reference);
      return find(tenant, parsed.name, String(parsed.version ?? parsed.alias ?? ''), true);
    },

    async get(name, tenant) {
      const fields = await redis.hgetall(tenantKeys(tenant).function(name));
      if (fields.current === undefined) throw functionNotFound(name);
      const [versions, aliases] = [versionsIn(fields), aliasesIn(fields)];
      const labels = labelsIn(fields);
      return {
        ...{ name, current: Number(fields.current), versions, aliases },
        ...(Object.keys(labels).length > 0 && { labels }),
      };
    },

    async imageOf(name, version, tenant) {
      const key = tenantKeys(tenant).function(name);
      const number = version ?? (await redis.hget(key, 'current'));
      const [text, imageText] = await redis.hmget(key, `version:${number}`, `image:${number}`);
      if (text == null) throw version === undefined ? functionNotFound(name) : noVersion(name, version);
      const { digest, image: base, codeLayer } = parseVersion(functionVersionSchema, number, text);
      if (imageText == null || base === undefined) {
        throw new PlatformError(
          'invalid_request',
          `version ${number} of "${name}" was stored by an earlier release, without its image: deploy it again`,
          { field: 'version' },
        );
      }
      return { digest, base, codeLayer, ...imageTextsSchema.parse(JSON.parse(imageText)) };
    },

    async list(tenant) {
      const names = (await redis.smembers(tenantKeys(tenant).names)).sort();
      const found = await Promise.allSettled(names.map((name) => find(tenant, name, '', false)));
      return found.flatMap((item) => {
        if (item.status === 'fulfilled') return [deployedFunctionSchema.parse(item.value)];
        // One deleted between the two reads is left out.
        if (item.reason instanceof PlatformError) return [];
        throw item.reason;
      });
    },

    async pinned() {
      // The default tenant's were there before there were others.
      const tenants = new Set([defaultTenant, ...(await redis.smembers(tenantsKey))]);
      const images = new Set<string>();
      const layers = new Set<string>();
      for (const keys of [...tenants].map(tenantKeys)) {
        const names = await redis.smembers(keys.names);
        const all = await Promise.all(names.map((name) => redis.hgetall(keys.function(name))));
        for (const { image, codeLayer } of all.flatMap(versionsIn)) {
          if (image) images.add(image.digest);
          if (codeLayer !== undefined) layers.add(codeLayer);
        }
      }
      return { images, layers };
    },

    kept: (countOf) =>
      keptVersions(redis, countOf, (tenant, name, version) => find(tenant, name, version, false)),

    async delete(name, tenant) {
      const keys = tenantKeys(tenant);
      const deleted = await redis.eval(
        deleteScript,
        3,
        ...[keys.function(name), keys.names, tenantsKey],
        ...[name, keys.user(name), layerKey(''), layerUsersKey(''), keys.tenant],
      );
      if (deleted === 0) throw functionNotFound(name);
    },
  };
}

function requireHandlerFile(runtime: Deployment['runtime'], handler: string, files: { path: string }[]) {
  const candidates = handlerFileCandidates(runtime, handler);
  if (files.some((file) => candidates.includes(file.path))) return;
  throw new PlatformError(
    'invalid_request',
    `no file for "${handler}": expected ${candidates.join(' or ')}`,
    {
      field: 'handler',
    },
  );
}

function secretMissing(name: string, version: number, missing: string): PlatformError {
  const message = `version ${version} of "${name}" names secrets that are not there: ${missing.replaceAll(' ', ', ')}`;
  return new PlatformError('secret_missing', message);
}

function noVersion(name: string, version: number): PlatformError {
  return new PlatformError('function_not_found', `there is no function "${name}" with a version ${version}`);
}
