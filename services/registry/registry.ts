import { z } from 'zod';
import {
  type DeployedFunction,
  deployedFunctionSchema,
  type FunctionRecord,
  type FunctionVersion,
  functionVersionSchema,
} from '../../sdk/contract/function.ts';
import { isRedisFull } from '../queue/make-room.ts';
import { type RedisRoom, redisUsedUp } from '../queue/redis-room.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { type CodeFile, packCodeLayer } from './code-layer.ts';
import {
  composeFunctionImage,
  type FunctionImage,
  type ImageTexts,
  readFunctionImage,
  settingsOf,
} from './function-image.ts';
import { handlerFileCandidates } from './handler-file.ts';
import { layerKey } from './layer-store.ts';
import { deleteScript, deployScript, resolveScript } from './scripts.ts';

/** The image that a version stands on, as a catalogue or store knows it. */
interface BaseImage extends ImageTexts {
  reference: string;
  digest: string;
}

export interface Deployment {
  name: string;
  image: BaseImage;
  runtime: FunctionVersion['runtime'];
  handler: string;
  env: Record<string, string>;
  limits: Record<string, number>;
  zygote?: boolean | undefined;
  isolation?: FunctionVersion['isolation'];
  files: CodeFile[];
}

/** The current version with what an invocation needs of its image. */
interface ResolvedFunction extends DeployedFunction {
  /** All of the image's Env, the version's own included. */
  programEnv: Record<string, string>;
  /** The image's User. */
  user?: string | undefined;
}

/** A version as an image. */
interface VersionImage extends FunctionImage {
  /** What its code is stacked on; the version itself where it was deployed from an image. */
  base: { reference: string; digest: string };
  /** At `layerKey`; absent where the image holds the code. */
  codeLayer?: string | undefined;
}

/** Functions and their immutable versions, on Redis. */
export interface Registry {
  /**
   * Stores a version and points the name at it. What was deployed before under this name gets its old version
   * number back: `created` is false then. Throws PlatformError `invalid_request` if no file can hold the handler, and
   * `unavailable` if the memory of Redis does not hold it.
   */
  deploy(deployment: Deployment): Promise<{ deployed: DeployedFunction; created: boolean }>;
  /** As `deploy`, of a version that another registry made: the digest stays. Throws `invalid_request` if it is none. */
  deployImage(name: string, image: BaseImage): Promise<{ deployed: DeployedFunction; created: boolean }>;
  /** The version that the name points at. Throws `function_not_found`. */
  resolve(name: string): Promise<ResolvedFunction>;
  /** Throws `function_not_found`. */
  get(name: string): Promise<FunctionRecord>;
  /**
   * A version, the current one unless given. Throws `function_not_found`, and `invalid_request` for a version that an
   * earlier release stored without its image.
   */
  imageOf(name: string, version?: number): Promise<VersionImage>;
  /** Sorted by name. */
  list(): Promise<DeployedFunction[]>;
  /** What the versions of all functions stand on: digests of images, and code layers in hex. */
  pinned(): Promise<{ images: Set<string>; layers: Set<string> }>;
  /** Removes all versions, and the layers that no other function uses. Throws `function_not_found`. */
  delete(name: string): Promise<void>;
}

/*
 * Keys:
 *   oncebox:functions             set of names
 *   oncebox:function:<name>       hash: current, last → numbers; version:<n> → JSON; layer:<n>; digest:<digest> → n;
 *                                 image:<n> → JSON of the image's texts
 *   oncebox:layer:<hex>           the code layer's tar
 *   oncebox:layer-users:<hex>     set of the function names that use it
 */
const namesKey = 'oncebox:functions';
const functionKey = (name: string) => `oncebox:function:${name}`;
const layerUsersKey = (hex: string) => `oncebox:layer-users:${hex}`;

const storedVersionSchema = functionVersionSchema.extend({
  programEnv: z.record(z.string(), z.string()).optional(),
  user: z.string().optional(),
});
type StoredVersion = Omit<z.infer<typeof storedVersionSchema>, 'version' | 'createdAt'>;
const imageTextsSchema = z.object({ manifestJson: z.string(), configJson: z.string() });

/** Without a `room` nothing is claimed: who deploys needs one. */
export function createRegistry(redis: Redis, room?: RedisRoom): Registry {
  async function resolveOrUndefined(name: string): Promise<ResolvedFunction | undefined> {
    const found = await redis.eval(resolveScript, 1, functionKey(name));
    if (!Array.isArray(found)) return undefined;
    const version = parseVersion(storedVersionSchema, found[0], found[1]);
    return { name, ...version, programEnv: version.programEnv ?? version.env };
  }

  async function store(name: string, version: StoredVersion, image: ImageTexts, tar: Uint8Array | undefined) {
    const { codeLayer = '' } = version;
    const versionJson = JSON.stringify({ ...version, createdAt: new Date().toISOString() });
    const imageJson = JSON.stringify({ manifestJson: image.manifestJson, configJson: image.configJson });
    // A layer that is there already takes nothing.
    const isNew = tar !== undefined && (await redis.exists(layerKey(codeLayer))) === 0;
    const bytes = versionJson.length + imageJson.length + (isNew ? tar.byteLength : 0);
    await room?.claimToKeep(bytes, 'deploy');
    const storing = redis.eval(
      deployScript,
      4,
      namesKey,
      functionKey(name),
      layerKey(codeLayer),
      layerUsersKey(codeLayer),
      name,
      version.digest,
      versionJson,
      codeLayer,
      tar ? Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength) : '',
      imageJson,
    );
    const reply = await storing.catch((error: unknown) => {
      throw isRedisFull(error) ? redisUsedUp('deploy', error) : error;
    });
    const [created, number, text] = reply as [number, number, string];
    const deployed = { name, ...parseVersion(functionVersionSchema, number, text) };
    return { deployed, created: created === 1 };
  }

  return {
    async deploy({ name, image, runtime, handler, env, limits, zygote, isolation, files }) {
      requireHandlerFile(runtime, handler, files);
      const { tar, digest: codeLayer } = packCodeLayer(files);
      const settings = {
        runtime,
        handler,
        env,
        limits,
        ...(zygote === false && { zygote }),
        ...(isolation && isolation !== 'native' && { isolation }),
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
      return store(name, version, made, tar);
    },

    async deployImage(name, image) {
      const settings = readFunctionImage(image);
      const { env: programEnv, user } = settingsOf(image);
      const { reference, digest } = image;
      const version = { digest, ...settings, image: { reference, digest }, sizeBytes: 0, programEnv, user };
      return store(name, version, image, undefined);
    },

    async resolve(name) {
      const found = await resolveOrUndefined(name);
      if (!found) throw notFound(name);
      return found;
    },

    async get(name) {
      const fields = await redis.hgetall(functionKey(name));
      if (fields.current === undefined) throw notFound(name);
      return { name, current: Number(fields.current), versions: versionsIn(fields) };
    },

    async imageOf(name, version) {
      const key = functionKey(name);
      const number = version ?? (await redis.hget(key, 'current'));
      const [text, imageText] = await redis.hmget(key, `version:${number}`, `image:${number}`);
      if (text == null) throw notFound(name, version);
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

    async list() {
      const names = (await redis.smembers(namesKey)).sort();
      const found = await Promise.all(names.map(resolveOrUndefined));
      // One deleted between the two reads is left out.
      return found.filter((item) => item !== undefined).map((item) => deployedFunctionSchema.parse(item));
    },

    async pinned() {
      const names = await redis.smembers(namesKey);
      const all = await Promise.all(names.map((name) => redis.hgetall(functionKey(name))));
      const versions = all.flatMap(versionsIn);
      return {
        images: new Set(versions.flatMap(({ image }) => (image ? [image.digest] : []))),
        layers: new Set(versions.flatMap(({ codeLayer }) => (codeLayer === undefined ? [] : [codeLayer]))),
      };
    },

    async delete(name) {
      const deleted = await redis.eval(
        deleteScript,
        2,
        namesKey,
        functionKey(name),
        name,
        layerKey(''),
        layerUsersKey(''),
      );
      if (deleted === 0) throw notFound(name);
    },
  };
}

/** Oldest first. */
function versionsIn(fields: Record<string, string>): FunctionVersion[] {
  return Object.entries(fields)
    .filter(([field]) => field.startsWith('version:'))
    .map(([field, text]) => parseVersion(functionVersionSchema, field.slice('version:'.length), text))
    .sort((a, b) => a.version - b.version);
}

function requireHandlerFile(runtime: FunctionVersion['runtime'], handler: string, files: { path: string }[]) {
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

function parseVersion<S extends z.ZodType>(schema: S, version: unknown, text: unknown): z.output<S> {
  return schema.parse({ ...JSON.parse(String(text)), version: Number(version) });
}

function notFound(name: string, version?: number): PlatformError {
  const which = version === undefined ? '' : ` with a version ${version}`;
  return new PlatformError('function_not_found', `there is no function "${name}"${which}`);
}
