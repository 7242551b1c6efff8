import type { SecretSummary } from '../../sdk/contract/secret.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { isRedisFull } from '../queue/make-room.ts';
import { type RedisRoom, redisUsedUp } from '../queue/redis-room.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import type { WithinQuota } from '../tenants/storage-ledger.ts';
import { seal } from './sealed-box.ts';
import { keyIdOf, purposeOf, type StoredSecret, secretsKey, storedSecretSchema } from './stored-secret.ts';

const perTenantMax = 1000;

/** The gateway's side: it can put secrets in, and has no key to get one out. */
export interface SecretStore {
  /** Throws PlatformError `unavailable` without a key, or without memory in Redis; `invalid_request` for one too many, `quota_exceeded`. */
  put(name: string, value: Uint8Array, tenant?: string): Promise<SecretSummary>;
  /** Sorted by name. */
  list(tenant?: string): Promise<SecretSummary[]>;
  /** Throws `secret_not_found`. */
  delete(name: string, tenant?: string): Promise<void>;
}

/**
 * KEYS: tenant's secrets. ARGV: name, record JSON, how many a tenant may have.
 * Returns the record as it is stored, with the first one's time and one version more than the last, or 'full'.
 */
const putScript = `
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
local record = cjson.decode(ARGV[2])
if old then
  old = cjson.decode(old)
  record.createdAt = old.createdAt
  record.version = old.version + 1
end
local text = cjson.encode(record)
redis.call('HSET', KEYS[1], ARGV[1], text)
return text`;

export function createSecretStore(
  redis: Redis,
  publicKey: string,
  room?: RedisRoom,
  withinQuota: WithinQuota = (_tenant, _what, _bytes, store) => store(),
): SecretStore {
  return {
    async put(name, value, tenant = defaultTenant) {
      if (publicKey === '') {
        throw new PlatformError(
          'unavailable',
          'this gateway has no key for secrets: npm start gives it one, or set ONCEBOX_SECRETS_PUBLIC_KEY',
        );
      }
      const now = new Date().toISOString();
      const record: StoredSecret = {
        sizeBytes: value.byteLength,
        version: 1,
        createdAt: now,
        updatedAt: now,
        sealed: seal(publicKey, value, purposeOf(tenant, name)).toString('base64'),
        keyId: keyIdOf(publicKey),
      };
      const text = JSON.stringify(record);
      await room?.claimToKeep(text.length, 'keep the secret');
      const storing = withinQuota(tenant, `secret:${name}`, text.length, () =>
        redis.eval(putScript, 1, secretsKey(tenant), name, text, perTenantMax),
      );
      const stored = await storing.catch((error: unknown) => {
        throw isRedisFull(error) ? redisUsedUp('keep the secret', error) : error;
      });
      if (stored === 'full')
        throw new PlatformError('invalid_request', `there are ${perTenantMax} secrets, which is the most`, {
          field: 'name',
        });
      return summaryOf(name, String(stored));
    },

    async list(tenant) {
      const fields = await redis.hgetall(secretsKey(tenant));
      return Object.entries(fields)
        .map(([name, text]) => summaryOf(name, text))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    async delete(name, tenant) {
      if ((await redis.hdel(secretsKey(tenant), name)) === 0)
        throw new PlatformError(
          'secret_not_found',
          `there is no secret ${JSON.stringify(name.slice(0, 80))}`,
        );
    },
  };
}

function summaryOf(name: string, text: string): SecretSummary {
  const { sizeBytes, version, createdAt, updatedAt } = storedSecretSchema.parse(JSON.parse(text));
  return { name, sizeBytes, version, createdAt, updatedAt };
}
