import type { Redis } from '../shared/redis.ts';
import { invocationQueueName, queuePrefix } from './job.ts';

const key = (name: string) => `${queuePrefix}:${invocationQueueName}:${name}`;
const recordsAtOnce = 50;
/** Whoever waits for a result has so long to read it, however full it is. */
const readableMs = 10_000;

/**
 * Drops the oldest finished records. KEYS: completed, failed. ARGV: prefix of job keys, how many of each, the Unix time
 * in ms before which they finished. Redis allows what frees memory when it is full. Returns how many went.
 */
const dropScript = `
local count = 0
for _, finished in ipairs(KEYS) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', finished, '-inf', ARGV[3], 'LIMIT', 0, ARGV[2])) do
    redis.call('DEL', ARGV[1] .. id, ARGV[1] .. id .. ':logs')
    redis.call('ZREM', finished, id)
    count = count + 1
  end
end
return count`;

/** When Redis is full, records of the past give way: what was accepted can be taken and its end written down. */
export async function makeRoom(redis: Redis): Promise<number> {
  const keys = [key('completed'), key('failed')];
  const before = Date.now() - readableMs;
  return Number(await redis.eval(dropScript, keys.length, ...keys, key(''), recordsAtOnce, before));
}

/** As Redis words it when a write does not fit into `maxmemory`. */
export function isRedisFull(error: unknown): boolean {
  return error instanceof Error && /\bOOM command not allowed\b/.test(error.message);
}
