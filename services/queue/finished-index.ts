import type { Redis } from '../shared/redis.ts';
import { queueKey } from './job.ts';

/*
 * Which records go when there are too many: a tenant's own oldest, so that one who calls often takes no record of another.
 *   oncebox:finished-of:<tenant>   sorted set of ids, by when they ended, Unix time in ms
 * A worker that dies between a record and its entry here leaves one that goes by its age alone.
 */
const finishedKey = (tenant: string) => `oncebox:finished-of:${tenant}`;

/** So many go at a time, as all wait for that. */
const mostAtOnce = 200;
/** So many of one tenant may end before its oldest are looked for. */
const lookEvery = 100;

/**
 * KEYS: a tenant's index, completed, failed. ARGV: prefix of job keys, how many are kept, how many go at most. Returns how
 * many went.
 */
const dropOldest = `
local tooMany = math.min(redis.call('ZCARD', KEYS[1]) - ARGV[2], tonumber(ARGV[3]))
if tooMany <= 0 then return 0 end
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, tooMany - 1)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
  redis.call('DEL', ARGV[1] .. id, ARGV[1] .. id .. ':logs')
end
return tooMany`;

/** KEYS: completed, failed. ARGV: prefix of job keys, Unix time in ms before which they ended, how many go at most. Returns how many went. */
const dropAged = `
local count = 0
for _, index in ipairs(KEYS) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', ARGV[2], 'LIMIT', 0, ARGV[3] - count)) do
    redis.call('ZREM', index, id)
    redis.call('DEL', ARGV[1] .. id, ARGV[1] .. id .. ':logs')
    count = count + 1
  end
end
return count`;

export interface RecordBounds {
  /** Of each tenant. */
  count: number;
  ms: number;
}

export interface FinishedIndex {
  /** Its record is written. */
  add(tenant: string, id: string): void;
  /** Drops what is too old, and of the tenants that had ends here what is too much. To be called again and again. */
  sweep(): Promise<void>;
}

export function createFinishedIndex(options: {
  redis: Redis;
  kept: RecordBounds;
  onError: (error: unknown) => void;
}): FinishedIndex {
  const { redis, kept, onError } = options;
  /** How many of each have ended here since it was looked at. */
  const ended = new Map<string, number>();

  async function drop(script: string, keys: string[], ...args: (string | number)[]): Promise<void> {
    const once = () => redis.eval(script, keys.length, ...keys, queueKey(''), ...args, mostAtOnce);
    while (Number(await once()) === mostAtOnce);
  }

  async function trim(tenant: string): Promise<void> {
    ended.delete(tenant);
    const index = finishedKey(tenant);
    await redis.zremrangebyscore(index, '-inf', Date.now() - kept.ms);
    await drop(dropOldest, [index, queueKey('completed'), queueKey('failed')], kept.count);
    await redis.pexpire(index, kept.ms);
  }

  return {
    add(tenant, id) {
      const count = (ended.get(tenant) ?? 0) + 1;
      ended.set(tenant, count);
      redis.zadd(finishedKey(tenant), Date.now(), id).catch(onError);
      if (count >= lookEvery) trim(tenant).catch(onError);
    },

    async sweep() {
      for (const tenant of [...ended.keys()]) await trim(tenant);
      await drop(dropAged, [queueKey('completed'), queueKey('failed')], Date.now() - kept.ms);
    },
  };
}
