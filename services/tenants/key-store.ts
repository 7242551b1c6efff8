import { z } from 'zod';
import { type ApiKey, apiKeySchema, type CreatedKey, type Scope } from '../../sdk/contract/key.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { hashApiKey, newApiKey } from './api-key.ts';
import { awsCredentialsOf } from './aws-credentials.ts';

/*
 * Keys at rest.
 *   oncebox:api-keys          hash: id → JSON of a StoredKey
 *   oncebox:api-key-deleted   channel: the id of a key that opens nothing any more
 */
const keysKey = 'oncebox:api-keys';
export const keyDeletedChannel = 'oncebox:api-key-deleted';
/** Of all tenants together. */
const keysMax = 10_000;

const storedKeySchema = apiKeySchema.extend({ sha256: z.string().regex(/^[a-f0-9]{64}$/) });
export type StoredKey = z.infer<typeof storedKeySchema>;

interface NewKey {
  name: string;
  tenant: string;
  scopes: readonly Scope[];
  expiresAt?: string | undefined;
}

export interface KeyStore {
  /** The reply has the key itself, which is kept nowhere. Throws `quota_exceeded` when there are too many. */
  create(key: NewKey): Promise<CreatedKey>;
  /** Of one tenant, or of all; oldest first. */
  list(tenant?: string): Promise<ApiKey[]>;
  find(id: string): Promise<StoredKey | undefined>;
  /** Throws `key_not_found`. */
  delete(id: string): Promise<void>;
}

/** KEYS: keys. ARGV: id, JSON, how many there may be. Returns 1 if stored. */
const createScript = `
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])`;

/** KEYS: keys. ARGV: id, channel. Returns 1 if it was there. One step: no gateway is told of what did not happen. */
const deleteScript = `
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[2], ARGV[1])
return 1`;

/** `adminKey`: what the credentials for clients of AWS are made by; without it there are none. */
export function createKeyStore(redis: Redis, adminKey?: string): KeyStore {
  return {
    async create({ name, tenant, scopes, expiresAt }) {
      const { id, key } = newApiKey();
      const shown: ApiKey = {
        id,
        name,
        tenant,
        scopes: [...new Set(scopes)],
        createdAt: new Date().toISOString(),
        ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt).toISOString() }),
      };
      const stored: StoredKey = { ...shown, sha256: hashApiKey(key).toString('hex') };
      const isStored = await redis.eval(createScript, 1, keysKey, id, JSON.stringify(stored), keysMax);
      if (isStored !== 1) {
        throw new PlatformError('quota_exceeded', `there are ${keysMax} keys already: delete some first`);
      }
      return { ...shown, key, ...(adminKey !== undefined && { aws: awsCredentialsOf(adminKey, id) }) };
    },

    async list(tenant) {
      const stored = (await redis.hvals(keysKey)).map(parseStored);
      return stored
        .filter((key) => tenant === undefined || key.tenant === tenant)
        .map((key) => apiKeySchema.parse(key))
        .sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0));
    },

    async find(id) {
      const text = await redis.hget(keysKey, id);
      return text === null ? undefined : parseStored(text);
    },

    async delete(id) {
      if ((await redis.eval(deleteScript, 1, keysKey, id, keyDeletedChannel)) !== 1)
        throw new PlatformError('key_not_found', 'there is no key of this id');
    },
  };
}

function parseStored(text: string): StoredKey {
  return storedKeySchema.parse(JSON.parse(text));
}
