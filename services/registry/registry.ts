import {
  type DeployedFunction,
  type FunctionRecord,
  type FunctionVersion,
  functionVersionSchema,
} from '../../sdk/contract/function.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { type CodeFile, packCodeLayer } from './code-layer.ts';
import { handlerFileCandidates } from './handler-file.ts';
import { layerKey } from './layer-store.ts';
import { manifestDigest } from './manifest.ts';
import { deleteScript, deployScript, resolveScript } from './scripts.ts';

export interface Deployment {
  name: string;
  runtime: FunctionVersion['runtime'];
  handler: string;
  env: Record<string, string>;
  limits: Record<string, number>;
  files: CodeFile[];
}

/** Functions and their immutable versions, on Redis. */
export interface Registry {
  /**
   * Stores a version and points the name at it. What was deployed before under this name gets its old version
   * number back: `created` is false then. Throws PlatformError `invalid_request` if no file can hold the handler.
   */
  deploy(deployment: Deployment): Promise<{ deployed: DeployedFunction; created: boolean }>;
  /** The version that the name points at. Throws `function_not_found`. */
  resolve(name: string): Promise<DeployedFunction>;
  /** Throws `function_not_found`. */
  get(name: string): Promise<FunctionRecord>;
  /** Sorted by name. */
  list(): Promise<DeployedFunction[]>;
  /** Removes all versions, and the layers that no other function uses. Throws `function_not_found`. */
  delete(name: string): Promise<void>;
}

/*
 * Keys:
 *   oncebox:functions             set of names
 *   oncebox:function:<name>       hash: current, last → numbers; version:<n> → JSON; layer:<n>; digest:<digest> → n
 *   oncebox:layer:<hex>           the code layer's tar
 *   oncebox:layer-users:<hex>     set of the function names that use it
 */
const namesKey = 'oncebox:functions';
const functionKey = (name: string) => `oncebox:function:${name}`;
const layerUsersKey = (hex: string) => `oncebox:layer-users:${hex}`;

export function createRegistry(redis: Redis): Registry {
  async function resolveOrUndefined(name: string): Promise<DeployedFunction | undefined> {
    const found = await redis.eval(resolveScript, 1, functionKey(name));
    return Array.isArray(found) ? { name, ...parseVersion(found[0], found[1]) } : undefined;
  }

  return {
    async deploy({ name, runtime, handler, env, limits, files }) {
      requireHandlerFile(runtime, handler, files);
      const { tar, digest: codeLayer } = packCodeLayer(files);
      const digest = manifestDigest({ runtime, codeLayer, handler, env, limits });
      const sizeBytes = files.reduce((sum, file) => sum + file.data.byteLength, 0);
      const createdAt = new Date().toISOString();
      const stored = { digest, runtime, handler, env, limits, codeLayer, createdAt, sizeBytes };
      const reply = await redis.eval(
        deployScript,
        4,
        namesKey,
        functionKey(name),
        layerKey(codeLayer),
        layerUsersKey(codeLayer),
        name,
        digest,
        JSON.stringify(stored),
        codeLayer,
        Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength),
      );
      const [created, version, text] = reply as [number, number, string];
      return { deployed: { name, ...parseVersion(version, text) }, created: created === 1 };
    },

    async resolve(name) {
      const found = await resolveOrUndefined(name);
      if (!found) throw notFound(name);
      return found;
    },

    async get(name) {
      const fields = await redis.hgetall(functionKey(name));
      if (fields.current === undefined) throw notFound(name);
      const versions = Object.entries(fields)
        .filter(([field]) => field.startsWith('version:'))
        .map(([field, text]) => parseVersion(field.slice('version:'.length), text))
        .sort((a, b) => a.version - b.version);
      return { name, current: Number(fields.current), versions };
    },

    async list() {
      const names = (await redis.smembers(namesKey)).sort();
      const found = await Promise.all(names.map(resolveOrUndefined));
      // One deleted between the two reads is left out.
      return found.filter((item) => item !== undefined);
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

function parseVersion(version: unknown, text: unknown): FunctionVersion {
  return functionVersionSchema.parse({ ...JSON.parse(String(text)), version: Number(version) });
}

function notFound(name: string): PlatformError {
  return new PlatformError('function_not_found', `there is no function "${name}"`);
}
