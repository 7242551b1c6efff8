import { deadIndexKey, deadLetterKey, deadLettersOfKey } from '../queue/dead-letters.ts';
import { eventsKey, streamedKey, streamsOfTenantKey } from '../queue/event-stream.ts';
import { filesKey, filesOfTenantKey } from '../queue/invocation-files.ts';
import { layerKey, tenantKeys } from '../registry/keys.ts';
import { definitionsKey } from '../schedules/schedule-store.ts';
import { secretsKey } from '../secrets/stored-secret.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import type { TenantBook } from './tenant-book.ts';

/*
 * What tenants store: each code layer of their functions' versions once, though others may have the same, the archives
 * kept with their records, results that were streamed, dead letters, secrets and schedules. It is looked up where it lies, so it is
 * what is there, whatever has died while it was changed.
 *   oncebox:tenant-storage:<tenant>   sorted set: `<what>:<bytes>` of what is being stored now, by the Unix time in ms until
 *                                     which it is counted; what: a layer in hex, an invocation, `secret:<name>`, `schedule:<id>`
 */
const claimsKey = (tenant: string) => `oncebox:tenant-storage:${tenant}`;
/** What is claimed is stored within that time, or its process has died. */
const leaseMs = 60_000;

/**
 * KEYS: names of functions, archives, streamed results, dead letters, secrets, schedules. ARGV: prefixes of functions, layers,
 * archives, events, of bytes in those, and of dead letters. Makes `bytes`, all of them, and `seen`, those of what can be claimed.
 */
const stored = `
local seen, bytes = {}, 0
local function see(what, length)
  seen[what] = length
  bytes = bytes + length
end
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  for _, field in ipairs(redis.call('HKEYS', ARGV[1] .. name)) do
    if string.sub(field, 1, 6) == 'layer:' then
      local hex = redis.call('HGET', ARGV[1] .. name, field)
      if not seen[hex] then see(hex, redis.call('STRLEN', ARGV[2] .. hex)) end
    end
  end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local length = redis.call('STRLEN', ARGV[3] .. id)
  if length == 0 then redis.call('ZREM', KEYS[2], id) else see(id, length) end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  if redis.call('EXISTS', ARGV[4] .. id) == 0 then redis.call('ZREM', KEYS[3], id)
  else bytes = bytes + (tonumber(redis.call('GET', ARGV[5] .. id)) or 0) end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do bytes = bytes + redis.call('STRLEN', ARGV[6] .. id) end
for at, kind in ipairs({'secret:', 'schedule:'}) do
  for _, field in ipairs(redis.call('HKEYS', KEYS[4 + at])) do
    see(kind .. field, redis.call('HSTRLEN', KEYS[4 + at], field))
  end
end`;

/** KEYS and ARGV: as above. Returns bytes. */
const storedScript = `${stored}
return bytes`;

/**
 * KEYS: as above, claims. ARGV: as above, what, bytes, quota, Unix time in ms, lease in ms. What takes the place of something
 * takes only as much as it is larger. Returns {1, bytes before} if it fits, else {0, bytes before}.
 */
const claimScript = `${stored}
local what, size, quota, now, lease = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local function growth(what, size) return math.max(0, tonumber(size) - (seen[what] or 0)) end
if growth(what, size) == 0 then return {1, bytes} end
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now)
for _, claim in ipairs(redis.call('ZRANGE', KEYS[7], 0, -1)) do
  local other, taken = string.match(claim, '^(.*):(%d+)$')
  -- What is stored already has been counted.
  bytes = bytes + growth(other, taken)
end
if bytes + growth(what, size) > tonumber(quota) then return {0, bytes} end
redis.call('ZADD', KEYS[7], now + lease, what .. ':' .. size)
return {1, bytes}`;

/**
 * KEYS: as above, index of all dead letters. ARGV: as above, quota, tenant, ids of new ones. A new one that would not fit though
 * it were the only one is dropped; then the oldest are, while there is more than the quota. Where what is no dead letter
 * takes more by itself, no old one is dropped: that would not make it fit.
 */
const fitDeadLettersScript = `${stored}
local function size(id) return redis.call('STRLEN', ARGV[6] .. id) end
local function drop(id)
  bytes = bytes - size(id)
  redis.call('DEL', ARGV[6] .. id)
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZREM', KEYS[7], ARGV[8] .. ' ' .. id)
end
local quota, room = tonumber(ARGV[7]), tonumber(ARGV[7]) - bytes
for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do room = room + size(id) end
for at = 9, #ARGV do
  if size(ARGV[at]) > math.max(0, room) then drop(ARGV[at]) end
end
if room < 0 then return end
for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  if bytes <= quota then return end
  drop(id)
end`;

interface StorageClaim {
  tenant: string;
  /** The layer in hex, the invocation whose archive it is, `secret:<name>` or `schedule:<id>`. What is there already takes nothing. */
  what: string;
  bytes: number;
  quota: number;
}

export interface StorageLedger {
  storedBytes(tenant: string): Promise<number>;
  /** Runs `store` with room taken for what it stores. Throws `quota_exceeded` when there is not as much left. */
  within<T>(claim: StorageClaim, store: () => Promise<T>): Promise<T>;
  /**
   * The tenant's oldest dead letters give way, as far as there is more than the quota, bytes; all stay where there is none. Of
   * those of `newIds` none is kept for which there is no room beside what is no dead letter, and no older one goes for it.
   */
  fitDeadLetters(tenant: string, quota: number | undefined, newIds: string[]): Promise<void>;
}

/** As `within`, where the tenant has a quota. */
export type WithinQuota = <T>(
  tenant: string,
  what: string,
  bytes: number,
  store: () => Promise<T>,
) => Promise<T>;

export function withinQuotaOf(book: TenantBook, storage: StorageLedger): WithinQuota {
  return (tenant, what, bytes, store) => {
    const quota = book.quotasOf(tenant).storageBytes;
    return quota === undefined ? store() : storage.within({ tenant, what, bytes, quota }, store);
  };
}

export function createStorageLedger(redis: Redis): StorageLedger {
  function places(tenant: string) {
    const keys = tenantKeys(tenant);
    // All of a tenant's functions have keys that differ in the name at the end.
    const functions = keys.function('a').slice(0, -1);
    return {
      keys: [
        ...[keys.names, filesOfTenantKey(tenant), streamsOfTenantKey(tenant), deadLettersOfKey(tenant)],
        ...[secretsKey(tenant), definitionsKey(tenant)],
      ],
      prefixes: [
        functions,
        ...[layerKey, filesKey, eventsKey, streamedKey, deadLetterKey].map((of) => of('')),
      ],
    };
  }

  return {
    async storedBytes(tenant) {
      const { keys, prefixes } = places(tenant);
      return Number(await redis.eval(storedScript, keys.length, ...keys, ...prefixes));
    },
    async within({ tenant, what, bytes, quota }, store) {
      const { keys, prefixes } = places(tenant);
      const [fits, before] = (await redis.eval(
        claimScript,
        ...[keys.length + 1, ...keys, claimsKey(tenant)],
        ...[...prefixes, what, bytes, quota, Date.now(), leaseMs],
      )) as [number, number];
      if (fits !== 1) {
        throw new PlatformError(
          'quota_exceeded',
          `the tenant stores ${before} bytes, these are ${bytes} more, and its quota is ${quota}`,
        );
      }
      try {
        return await store();
      } finally {
        await redis.zrem(claimsKey(tenant), `${what}:${bytes}`);
      }
    },
    async fitDeadLetters(tenant, quota, newIds) {
      if (quota === undefined) return;
      const { keys, prefixes } = places(tenant);
      const args = [...keys, deadIndexKey, ...prefixes, quota, tenant, ...newIds];
      await redis.eval(fitDeadLettersScript, keys.length + 1, ...args);
    },
  };
}
