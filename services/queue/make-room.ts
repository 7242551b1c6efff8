import type { Redis } from '../shared/redis.ts';
import { deadIndexKey, deadLetterKey, deadLettersOfKey } from './dead-letters.ts';
import { eventsIndexKey, eventsKey } from './event-stream.ts';
import { idempotencyIndexKey } from './idempotency.ts';
import { filesIndexKey, filesKey } from './invocation-files.ts';
import { cancelledIndexKey, cancelledKey, queueKey as key } from './job.ts';

const recordsAtOnce = 50;
/** Fewer, for each may have megabytes. */
const archivesAtOnce = 5;
/** Whoever waits for a result has so long to read it, however full it is. */
const readableMs = 10_000;

/**
 * Drops the oldest events that nobody can be reading live; and where there are none, the oldest finished records,
 * cancelled ones too, and the oldest archives: a record may be gone before its own. Dead letters and idempotency keys go
 * when there is nothing else.
 * KEYS: completed, failed, index of archives, index of cancelled, index of events, index of idempotency keys, index of dead
 * letters. ARGV: prefix of job keys, how many of each, the Unix time in ms before which they finished, prefix of archives,
 * how many of these, prefix of cancelled, of events, of dead letters, of tenants' dead letters. Redis allows what frees
 * memory when it is full. Returns how many went.
 */
const dropScript = `
local count = 0
local function oldest(index, most)
  return ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', ARGV[3], 'LIMIT', 0, most))
end
for _, id in oldest(KEYS[5], ARGV[5]) do
  redis.call('DEL', ARGV[7] .. id)
  redis.call('ZREM', KEYS[5], id)
  count = count + 1
end
if count > 0 then return count end
for finished = 1, 2 do
  for _, id in oldest(KEYS[finished], ARGV[2]) do
    redis.call('DEL', ARGV[1] .. id, ARGV[1] .. id .. ':logs', ARGV[4] .. id)
    redis.call('ZREM', KEYS[finished], id)
    redis.call('ZREM', KEYS[3], id)
    count = count + 1
  end
end
for _, id in oldest(KEYS[3], ARGV[5]) do
  redis.call('DEL', ARGV[4] .. id)
  redis.call('ZREM', KEYS[3], id)
  count = count + 1
end
for _, id in oldest(KEYS[4], ARGV[2]) do
  redis.call('DEL', ARGV[6] .. id)
  redis.call('ZREM', KEYS[4], id)
  count = count + 1
end
if count == 0 then
  for _, member in oldest(KEYS[7], ARGV[5]) do
    local tenant, id = string.match(member, '^(%S+) (%S+)$')
    redis.call('DEL', ARGV[8] .. id)
    redis.call('ZREM', ARGV[9] .. tenant, id)
    redis.call('ZREM', KEYS[7], member)
    count = count + 1
  end
  for _, name in oldest(KEYS[6], ARGV[2]) do
    redis.call('DEL', name)
    redis.call('ZREM', KEYS[6], name)
    count = count + 1
  end
end
return count`;

/** When Redis is full, records of the past give way: what was accepted can be taken and its end written down. */
export async function makeRoom(redis: Redis): Promise<number> {
  const keys = [
    key('completed'),
    key('failed'),
    filesIndexKey,
    cancelledIndexKey,
    eventsIndexKey,
    idempotencyIndexKey,
    deadIndexKey,
  ];
  const before = Date.now() - readableMs;
  const dropped = await redis.eval(
    dropScript,
    keys.length,
    ...keys,
    key(''),
    recordsAtOnce,
    before,
    filesKey(''),
    archivesAtOnce,
    cancelledKey(''),
    eventsKey(''),
    deadLetterKey(''),
    deadLettersOfKey(''),
  );
  return Number(dropped);
}

/** As Redis words it when a write does not fit into `maxmemory`. */
export function isRedisFull(error: unknown): boolean {
  return error instanceof Error && /\bOOM command not allowed\b/.test(error.message);
}
