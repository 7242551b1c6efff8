import type { Redis } from '../shared/redis.ts';
import { deadIndexKey } from './dead-letters.ts';
import { invocationQueueName, queuePrefix } from './job.ts';
import { heldKey } from './slots.ts';

/** The queue at one moment. */
export interface QueueFigures {
  /** That no worker has taken yet. */
  waiting: number;
  /** That workers have taken. */
  active: number;
  /** That are to be tried again later. */
  delayed: number;
  /** That wait until less of their function run, as its settings cap that, or of their tenant, as others want places too. */
  held: number;
  /** For how long the one that waits longest has; 0 when none waits. */
  oldestWaitingMs: number;
  /** That are kept to be run again, of all tenants; one that has expired counts until the next one comes. */
  deadLetters: number;
}

/** So many of the next ones are looked at for the oldest: who looks holds up Redis. */
const lookedAt = 10_000;

/**
 * Counts, and looks for the job that was added first: of the list it is the last, of those with a priority the one with the
 * least counter, the low 32 bits of BullMQ's scores.
 * KEYS: wait, prioritized, active, delayed, held, dead letters. ARGV: prefix of job keys, how many are looked at. Returns the six counts
 * and the Unix time in ms of the oldest, or an empty text.
 */
const figuresScript = `
local oldest = redis.call('LINDEX', KEYS[1], -1)
if not oldest then
  local least
  local next = redis.call('ZRANGE', KEYS[2], 0, ARGV[2] - 1, 'WITHSCORES')
  for i = 1, #next, 2 do
    local counter = next[i + 1] % 0x100000000
    if not least or counter < least then oldest, least = next[i], counter end
  end
end
return {
  redis.call('LLEN', KEYS[1]), redis.call('ZCARD', KEYS[2]), redis.call('LLEN', KEYS[3]), redis.call('ZCARD', KEYS[4]),
  redis.call('ZCARD', KEYS[5]), redis.call('ZCARD', KEYS[6]),
  oldest and redis.call('HGET', ARGV[1] .. oldest, 'timestamp') or ''
}`;

export async function readQueueFigures(redis: Redis): Promise<QueueFigures> {
  const prefix = `${queuePrefix}:${invocationQueueName}:`;
  const ofBullMq = ['wait', 'prioritized', 'active', 'delayed'].map((name) => prefix + name);
  const keys = [...ofBullMq, heldKey, deadIndexKey];
  const [waiting, prioritized, active, delayed, held, deadLetters, addedAtMs] = (await redis.eval(
    figuresScript,
    keys.length,
    ...keys,
    prefix,
    lookedAt,
  )) as [number, number, number, number, number, number, string];
  return {
    waiting: waiting + prioritized,
    active,
    delayed,
    held,
    deadLetters,
    // The clock is the one of the gateway that added it.
    oldestWaitingMs: addedAtMs === '' ? 0 : Math.max(0, Date.now() - Number(addedAtMs)),
  };
}
