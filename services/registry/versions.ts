import type { z } from 'zod';
import {
  type DeployedFunction,
  type FunctionVersion,
  functionVersionSchema,
} from '../../sdk/contract/function.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { type CodeFile, unpackCodeLayer } from './code-layer.ts';
import { functionNotFound, layerKey, layerUsersKey, tenantKeys } from './keys.ts';
import { labelsIn } from './labels.ts';
import { fetchCodeLayer } from './layer-store.ts';
import { deleteVersionScript, rollbackScript } from './scripts.ts';

/** What can be done with versions that are there. */
export interface Versions {
  /**
   * Points the name at the version that it pointed at before, or at the one given. Throws `function_not_found` or
   * `version_not_found`.
   */
  rollback(name: string, version?: number, tenant?: string): Promise<DeployedFunction>;
  /**
   * Removes a version, and its layer if nobody else uses that. Throws `version_in_use` when the name or an alias points at
   * it, `function_not_found` or `version_not_found`.
   */
  deleteVersion(name: string, version: number, tenant?: string): Promise<void>;
  /** The files of a code layer. Throws `function_not_found` where it is gone. */
  filesOf(codeLayer: string): Promise<CodeFile[]>;
}

export function createVersions(redis: Redis): Versions {
  return {
    async rollback(name, version, tenant) {
      const key = tenantKeys(tenant).function(name);
      const found = await redis.eval(rollbackScript, 1, key, version ?? '');
      if (found === 'function') throw functionNotFound(name);
      if (Array.isArray(found)) return { name, ...parseVersion(functionVersionSchema, found[0], found[1]) };
      if (version !== undefined) throw versionNotFound(name, version);
      throw new PlatformError('version_not_found', `"${name}" has no version before its current one`);
    },

    async deleteVersion(name, version, tenant) {
      const keys = tenantKeys(tenant);
      const done = await redis.eval(
        deleteVersionScript,
        1,
        keys.function(name),
        ...[version, keys.user(name), layerKey(''), layerUsersKey('')],
      );
      if (done === 'done') return;
      if (done === 'function') throw functionNotFound(name);
      if (done === 'version') throw versionNotFound(name, version);
      const user = done === 'current' ? 'the name' : `the alias "${String(done).slice('alias:'.length)}"`;
      const message = `version ${version} of "${name}" cannot be deleted: ${user} points at it`;
      throw new PlatformError('version_in_use', message);
    },

    async filesOf(codeLayer) {
      return unpackCodeLayer(await fetchCodeLayer(redis, codeLayer));
    },
  };
}

export function versionNotFound(name: string, version: number): PlatformError {
  return new PlatformError('version_not_found', `there is no version ${version} of the function "${name}"`);
}

/** Of a function's hash, oldest first. */
export function versionsIn(fields: Record<string, string>): FunctionVersion[] {
  return Object.entries(fields)
    .filter(([field]) => field.startsWith('version:'))
    .map(([field, text]) => parseVersion(functionVersionSchema, field.slice('version:'.length), text))
    .map((version) => {
      const labels = { ...version.labels, ...labelsIn(fields, version.version) };
      return { ...version, ...(Object.keys(labels).length > 0 && { labels }) };
    })
    .sort((a, b) => a.version - b.version);
}

export function parseVersion<S extends z.ZodType>(schema: S, version: unknown, text: unknown): z.output<S> {
  return schema.parse({ ...JSON.parse(String(text)), version: Number(version) });
}
