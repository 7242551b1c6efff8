import { z } from 'zod';
import { type Alias, type AliasRequest, aliasSchema } from '../../sdk/contract/alias.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { functionNotFound, tenantKeys } from './keys.ts';
import { labelField } from './labels.ts';
import { putAliasScript } from './scripts.ts';

const aliasesMax = 100;
const prefix = 'alias:';

/** Labels of the function that are about one alias, and go with it: an alias of that name that is made later is another. */
export const aliasLabels = {
  description: (alias: string) => `aws.alias.${alias}`,
  url: (alias: string) => `aws.url.${alias}`,
};

/** Names that point at versions of a function. */
export interface Aliases {
  /** Throws `function_not_found`, and `invalid_request` for a version that is not there or one alias too many. */
  putAlias(name: string, alias: string, request: AliasRequest, tenant?: string): Promise<Alias>;
  /** Sorted by name. Throws `function_not_found`. */
  aliases(name: string, tenant?: string): Promise<Alias[]>;
  /** With its `aliasLabels`. Throws `function_not_found` or `alias_not_found`. */
  deleteAlias(name: string, alias: string, tenant?: string): Promise<void>;
}

/**
 * As it is stored. `shares` is what the choice goes by: versions and the upper ends of their parts of 0 to 1, ascending;
 * above the last of them it is `version`.
 */
const storedAliasSchema = aliasSchema
  .omit({ name: true })
  .extend({ shares: z.array(z.tuple([z.number(), z.number()])) });

export function createAliases(redis: Redis): Aliases {
  return {
    async putAlias(name, alias, { version, weights = {} }, tenant) {
      const stored: z.infer<typeof storedAliasSchema> = {
        version,
        weights,
        updatedAt: new Date().toISOString(),
        shares: sharesOf(weights),
      };
      const versions = [String(version), ...Object.keys(weights)];
      const done = await redis.eval(
        putAliasScript,
        1,
        tenantKeys(tenant).function(name),
        ...[alias, JSON.stringify(stored), aliasesMax],
        ...versions,
      );
      if (done === 'function') throw functionNotFound(name);
      if (done === 'full') {
        const message = `"${name}" has ${aliasesMax} aliases, which is the most`;
        throw new PlatformError('invalid_request', message, { field: 'alias' });
      }
      if (done !== 'done') {
        const field = String(done) === versions[0] ? 'version' : `weights.${done}`;
        throw new PlatformError('invalid_request', `${field}: "${name}" has no version ${done}`, { field });
      }
      return aliasOf(alias, stored);
    },

    async aliases(name, tenant) {
      const fields = await redis.hgetall(tenantKeys(tenant).function(name));
      if (fields.current === undefined) throw functionNotFound(name);
      return aliasesIn(fields);
    },

    async deleteAlias(name, alias, tenant) {
      const key = tenantKeys(tenant).function(name);
      const labels = Object.values(aliasLabels).map((labelOf) => labelField(labelOf(alias)));
      const replies = await redis
        .multi()
        .hdel(key, prefix + alias)
        .hdel(key, ...labels)
        .exec();
      const [error, deleted] = replies?.[0] ?? [];
      if (error) throw error;
      if (deleted === 1) return;
      throw (await redis.exists(key)) === 0 ? functionNotFound(name) : aliasNotFound(name, alias);
    },
  };
}

/** Of a function's hash. */
export function aliasesIn(fields: Record<string, string>): Alias[] {
  return Object.entries(fields)
    .filter(([field]) => field.startsWith(prefix))
    .map(([field, text]) => aliasOf(field.slice(prefix.length), storedAliasSchema.parse(JSON.parse(text))))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function aliasNotFound(name: string, alias: string): PlatformError {
  return new PlatformError('alias_not_found', `there is no alias "${alias}" of the function "${name}"`);
}

function aliasOf(name: string, { version, weights, updatedAt }: z.infer<typeof storedAliasSchema>): Alias {
  return { name, version, weights, updatedAt };
}

/** In steps of a millionth of a millionth, so that a sum of tenths ends where it should. */
function sharesOf(weights: Record<string, number>): [number, number][] {
  let end = 0;
  return Object.entries(weights).map(([version, share]) => {
    end = Math.round((end + share) * 1e12) / 1e12;
    return [Number(version), end];
  });
}
