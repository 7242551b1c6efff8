import { eventsKey, streamedKey, streamsOfTenantKey } from '../queue/event-stream.ts';
import { filesKey, filesOfTenantKey } from '../queue/invocation-files.ts';
import { layerKey, tenantKeys } from '../registry/keys.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * What tenants store: each code layer of their functions' versions once, though others may have the same, the archives
 * kept with their records, and results that were streamed. It is looked up where it lies, so it is what is there, whatever has died while it was changed.
 *   oncebox:tenant-storage:<tenant>   sorted set: `<layer or invocation>:<bytes>` of what is being stored now, by the Unix time
 *                                     in ms until which it is counted
 */
const claimsKey = (tenant: string) => `oncebox:tenant-storage:${tenant}`;
/** What is claimed is stored within that time, or its process has died. */
const leaseMs = 60_000;

const stored = `
local function stored(names, functions, layers, archives, files, streams, events, streamed)
  local seen, bytes = {}, 0
  for _, name in ipairs(redis.call('SMEMBERS', names)) do
    for _, field in ipairs(redis.call('HKEYS', functions .. name)) do
      if string.sub(field, 1, 6) == 'layer:' then
        local hex = redis.call('HGET', functions .. name, field)
        if not seen[hex] then bytes = bytes + redis.call('STRLEN', layers .. hex) end
        seen[hex] = true
      end
    end
  end
  for _, id in ipairs(redis.call('ZRANGE', archives, 0, -1)) do
    local length = redis.call('STRLEN', files .. id)
    if length == 0 then redis.call('ZREM', archives, id) end
    bytes = bytes + length
  end
  for _, id in ipairs(redis.call('ZRANGE', streams, 0, -1)) do
    if redis.call('EXISTS', events .. id) == 0 then redis.call('ZREM', streams, id)
    else bytes = bytes + (tonumber(redis.call('GET', streamed .. id)) or 0) end
  end
  return bytes, seen
end
local bytes, seen = stored(KEYS[1], ARGV[1], ARGV[2], KEYS[2], ARGV[3], KEYS[3], ARGV[4], ARGV[5])`;

/**
 * KEYS: names of functions, archives, streamed results. ARGV: prefixes of functions, layers, archives, events, and of bytes in
 * those. Returns bytes.
 */
const storedScript = `${stored}
return bytes`;

/**
 * KEYS: as above, claims. ARGV: as above, layer or invocation, bytes, quota, Unix time in ms, lease in ms. Returns
 * {1, bytes before} if it fits, else {0, bytes before}.
 */
const claimScript = `${stored}
local what, size, quota, now, lease = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
if seen[what] then return {1, bytes} end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
for _, claim in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  local other, taken = string.match(claim, '^(.*):(%d+)$')
  -- What is stored already has been counted.
  if not seen[other] and redis.call('STRLEN', ARGV[3] .. other) == 0 then bytes = bytes + tonumber(taken) end
end
if bytes + tonumber(size) > tonumber(quota) then return {0, bytes} end
redis.call('ZADD', KEYS[4], now + lease, what .. ':' .. size)
return {1, bytes}`;

interface StorageClaim {
  tenant: string;
  /** The layer in hex, or the invocation whose archive it is. A layer that the tenant has already takes nothing. */
  what: string;
  bytes: number;
  quota: number;
}

export interface StorageLedger {
  storedBytes(tenant: string): Promise<number>;
  /** Runs `store` with room taken for what it stores. Throws `quota_exceeded` when there is not as much left. */
  within<T>(claim: StorageClaim, store: () => Promise<T>): Promise<T>;
}

export function createStorageLedger(redis: Redis): StorageLedger {
  function places(tenant: string) {
    const keys = tenantKeys(tenant);
    // All of a tenant's functions have keys that differ in the name at the end.
    const functions = keys.function('a').slice(0, -1);
    return {
      keys: [keys.names, filesOfTenantKey(tenant), streamsOfTenantKey(tenant)],
      prefixes: [functions, layerKey(''), filesKey(''), eventsKey(''), streamedKey('')],
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
  };
}
