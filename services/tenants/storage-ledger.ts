import { filesKey, filesOfTenantKey } from '../queue/invocation-files.ts';
import { layerKey, tenantKeys } from '../registry/keys.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * What tenants store: each code layer of their functions' versions once, though others may have the same, and the archives
 * kept with their records. It is looked up where it lies, so it is what is there, whatever has died while it was changed.
 *   oncebox:tenant-storage:<tenant>   sorted set: `<layer or invocation>:<bytes>` of what is being stored now, by the Unix time
 *                                     in ms until which it is counted
 */
const claimsKey = (tenant: string) => `oncebox:tenant-storage:${tenant}`;
/** What is claimed is stored within that time, or its process has died. */
const leaseMs = 60_000;

const stored = `
local function stored(names, functions, layers, archives, files)
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
  return bytes, seen
end
local bytes, seen = stored(KEYS[1], ARGV[1], ARGV[2], KEYS[2], ARGV[3])`;

/** KEYS: names of functions, archives. ARGV: prefixes of functions, layers and archives. Returns bytes. */
const storedScript = `${stored}
return bytes`;

/**
 * KEYS: as above, claims. ARGV: as above, layer or invocation, bytes, quota, Unix time in ms, lease in ms. Returns
 * {1, bytes before} if it fits, else {0, bytes before}.
 */
const claimScript = `${stored}
if seen[ARGV[4]] then return {1, bytes} end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[7])
for _, claim in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local what, size = string.match(claim, '^(.*):(%d+)$')
  -- What is stored already has been counted.
  if not seen[what] and redis.call('STRLEN', ARGV[3] .. what) == 0 then bytes = bytes + tonumber(size) end
end
if bytes + tonumber(ARGV[5]) > tonumber(ARGV[6]) then return {0, bytes} end
redis.call('ZADD', KEYS[3], ARGV[7] + ARGV[8], ARGV[4] .. ':' .. ARGV[5])
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
      keys: [keys.names, filesOfTenantKey(tenant)],
      prefixes: [functions, layerKey(''), filesKey('')],
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
