import { functionHashKey } from '../registry/settings.ts';
import type { Redis } from '../shared/redis.ts';
import { fairTurn, letOneIn } from './fair-turn.ts';
import { flowsKey, type InvocationJob, queueKey } from './job.ts';

/*
 * How many of a function run at once, where its settings say that. An invocation gets one of the function's slots when it is
 * accepted, and has it until it is over; a run that is put off keeps it. Who gets none is held, out of workers' sight.
 *   oncebox:slots:<tenant>:<name>   sorted set of ids that have one, by when they got it, Unix time in ms
 *   oncebox:held:<tenant>:<name>    sorted set of ids that are held, by when they came
 *   oncebox:held                    all that are held, those too that are for their tenant's share (tenant-share.ts)
 *   oncebox:capped                  set of `<tenant>:<name>` that have either
 * A job that has a slot says so: its `progress` is 1, which of BullMQ's fields is the one that nobody else uses and workers get.
 */
const slotsKey = (name: string) => `oncebox:slots:${name}`;
const heldOfKey = (name: string) => `oncebox:held:${name}`;
export const heldKey = 'oncebox:held';
const cappedKey = 'oncebox:capped';

type Called = Pick<InvocationJob, 'tenant' | 'function'>;
const nameOf = ({ tenant, function: called }: Called) => `${tenant}:${called?.name}`;

/** For scripts: hash with the settings, slots, held of the function, all held, capped; empty names without a function. */
export function slotKeys(job: Called): string[] {
  if (!job.function) return ['', '', '', heldKey, cappedKey];
  const name = nameOf(job);
  return [
    functionHashKey(job.tenant, job.function.name),
    slotsKey(name),
    heldOfKey(name),
    heldKey,
    cappedKey,
  ];
}
/** What stands for the function among the capped ones; empty without one. */
export const cappedName = (job: Called): string => (job.function ? nameOf(job) : '');

/** For scripts: `capOf(hash)`, nil where there is no cap. */
export const capOf = `
local function capOf(hash)
  local settings = hash ~= '' and redis.call('HGET', hash, 'settings')
  return settings and cjson.decode(settings).concurrency
end`;

/**
 * Gives slots back and lets in who is held, each behind what its flow has waiting.
 * KEYS: hash with the settings, slots, held of the function, all held, capped, flows, prioritized, marker, priority counter.
 * ARGV: name among the capped, prefix of job keys, tenant, Unix time in ms, id that is over, or empty: then all are looked at.
 */
const letInScript = `${capOf}${fairTurn}${letOneIn}
if ARGV[5] ~= '' then
  if redis.call('ZREM', KEYS[2], ARGV[5]) == 0 then return 0 end
else
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local times = redis.call('HMGET', ARGV[2] .. id, 'timestamp', 'finishedOn')
    if not times[1] or times[2] then redis.call('ZREM', KEYS[2], id) end
  end
end
-- Where there is no cap any more, not all of them at once: they would fill the queue.
local free = (capOf(KEYS[1]) or 1000) - redis.call('ZCARD', KEYS[2])
local count = 0
while count < free and count < 100 do
  local id = redis.call('ZPOPMIN', KEYS[3])[1]
  if not id then break end
  redis.call('ZREM', KEYS[4], id)
  if letOneIn(ARGV[2] .. id, id, ARGV[3], KEYS[6], KEYS[7], KEYS[9], KEYS[8]) then
    redis.call('HSET', ARGV[2] .. id, 'progress', 1)
    redis.call('ZADD', KEYS[2], ARGV[4], id)
    count = count + 1
  end
end
if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then redis.call('SREM', KEYS[5], ARGV[1]) end
return count`;

async function letIn(redis: Redis, job: Called, overId: string): Promise<void> {
  const keys = [...slotKeys(job), flowsKey, ...['prioritized', 'marker', 'pc'].map(queueKey)];
  const { tenant } = job;
  await redis.eval(
    letInScript,
    keys.length,
    ...keys,
    cappedName(job),
    queueKey(''),
    tenant,
    Date.now(),
    overId,
  );
}

/** As its worker was told when it took it. */
export const hasSlot = ({ progress }: { progress: unknown }): boolean => progress === 1;

/** An invocation is over: its slot, if it had one, goes to who is held. */
export async function releaseSlot(redis: Redis, id: string, job: Called): Promise<void> {
  if (job.function) await letIn(redis, job, id);
}

/** Finds the slots of those that ended when nobody could give them back, and what changed settings let in. */
export async function sweepSlots(redis: Redis): Promise<void> {
  for (const name of await redis.smembers(cappedKey)) {
    const [tenant = '', functionName = ''] = name.split(':');
    await letIn(redis, { tenant, function: { name: functionName, version: 1, digest: '' } }, '');
  }
}
