import { Job, Queue } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { defaultPriority } from '../../sdk/contract/invocation-options.ts';
import type { Redis } from '../shared/redis.ts';
import { costs, fairTurn } from './fair-turn.ts';
import { type Idempotency, idempotencyIndexKey, idempotencyTtlMs } from './idempotency.ts';
import { tenantListKey } from './invocation-list.ts';
import {
  cancelledKey,
  flowsKey,
  type InvocationJob,
  invocationQueueName,
  queueKey,
  queuePrefix,
} from './job.ts';
import { capOf, cappedName, slotKeys } from './slots.ts';
import { holdForShare, sharedTenantsKey, shareFlowsKey, shareHeldKey } from './tenant-share.ts';

/*
 * The order of the queue is start-time fair queueing. Tags are BullMQ's priorities, the least first. A flow, that is one
 * tenant's invocations of one priority, pays `cost` for each: its next tag is its last one, or the virtual time where that
 * is later, and the cost. So a flow that has nothing waiting comes right behind the next one, however many others have.
 */

/** BullMQ's greatest; ours is never in the way of a head, for the script that follows gives the tag. */
const untagged = 2_097_151;

/**
 * Decides about the job that was just added, in the same transaction: no worker sees one that is refused, and who is
 * killed on the way has added nothing. Scores are tag × 2^32 + BullMQ's counter, as BullMQ makes them.
 * KEYS: prioritized, wait, delayed, flows, priority counter, job, its record if it was cancelled, idempotency key, index of
 * these, tenant's list, those of slots, held for the tenant's share, their flows, tenants that have such. ARGV: prefix of job keys, id, flow, cost, the most that may wait, digest of the request or empty where it has no
 * idempotency key, how long that holds in ms, Unix time in ms, JSON of what
 * a list says of it, how long a list may be, name among the capped functions, 1 where the caller waits, how long a list names what was accepted, ms, tenant, priority.
 * An id that had been added before is not added again, whatever became of it. Returns {what became of it, how many wait, what its key stands for}: `accepted`, `full`, `held_full`, `capped`, `known` to its key, or `absent`
 * when Redis did not take it.
 */
const admitScript = `${capOf}${fairTurn}${holdForShare}
local id = ARGV[2]
if redis.call('HEXISTS', KEYS[6], 'about') == 1 then return {'accepted', 0} end
if not redis.call('ZSCORE', KEYS[1], id) then return {'absent', 0} end

local function refuse()
  redis.call('ZREM', KEYS[1], id)
  redis.call('DEL', KEYS[6])
end
if redis.call('EXISTS', KEYS[7]) == 1 then
  refuse()
  return {'accepted', 0}
end
local known = ARGV[6] ~= '' and redis.call('GET', KEYS[8])
if known then
  refuse()
  return {'known', 0, known}
end

local delayed = redis.call('ZCARD', KEYS[3])
local ordered = redis.call('ZCARD', KEYS[1]) - 1
local waiting = ordered + redis.call('LLEN', KEYS[2]) + delayed
-- With nobody to compare with, all begin anew.
if ordered + delayed == 0 then redis.call('DEL', KEYS[4]) end
local flows = redis.call('HMGET', KEYS[4], 'top', ARGV[3])
local top, last = tonumber(flows[1]) or 0, tonumber(flows[2]) or 0
local now = top
if ordered > 0 then
  now = math.floor(tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]) / unit) - 1
end

local cap = capOf(KEYS[11])
local isHeld = cap and redis.call('ZCARD', KEYS[12]) >= cap
if isHeld and ARGV[12] == '1' then
  refuse()
  return {'capped', cap}
end

-- Who is held waits for its own function or tenant only, and takes no room of others. A flow that has nothing waiting finds
-- room beyond the end: who fills the queue is not to keep others out.
local most = tonumber(ARGV[5])
local isCrowded = not isHeld and redis.call('EXISTS', KEYS[16]) == 1
if isCrowded then
  waiting = redis.call('ZCARD', KEYS[16])
  if waiting >= most then
    refuse()
    return {'full', waiting}
  end
elseif isHeld then
  waiting = redis.call('ZCARD', KEYS[13])
  if waiting >= most then
    refuse()
    return {'held_full', waiting}
  end
elseif waiting >= most and (last > now or waiting >= most + math.ceil(most / 10)) then
  refuse()
  return {'full', waiting}
end

-- Far from zero all tags are moved back, the order stays: BullMQ's priorities end before 2^21. That takes 5 us for each that
-- waits, and all wait for it; so it is done when few do, and otherwise only where it has to be.
local isNearEnd = math.max(now, last, top) >= 0x180000
if now >= 0x80000 and (ordered + delayed <= 1000 or isNearEnd) then
  local all = redis.call('ZRANGE', KEYS[1], 0, ordered - 1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local score = tonumber(all[i + 1]) - now * unit
    redis.call('ZADD', KEYS[1], string.format('%.0f', score), all[i])
    redis.call('HSET', ARGV[1] .. all[i], 'priority', math.floor(score / unit))
  end
  for _, one in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    local tag = tonumber(redis.call('HGET', ARGV[1] .. one, 'priority')) or 1
    redis.call('HSET', ARGV[1] .. one, 'priority', math.max(1, tag - now))
  end
  local tags = redis.call('HGETALL', KEYS[4])
  for i = 1, #tags, 2 do
    local tag = tonumber(tags[i + 1]) - now
    if tag > 0 then redis.call('HSET', KEYS[4], tags[i], tag) else redis.call('HDEL', KEYS[4], tags[i]) end
  end
  top, last, now = math.max(0, top - now), math.max(0, last - now), 0
end

if cap then
  redis.call('SADD', KEYS[15], ARGV[11])
  redis.call('ZADD', KEYS[isHeld and 13 or 12], ARGV[8], id)
end
if isHeld or isCrowded then
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZADD', KEYS[14], ARGV[8], id)
  redis.call('HSET', KEYS[6], 'about', ARGV[9])
else
  local tag = giveTag(KEYS[4], ARGV[3], ARGV[4], now, last, top)
  local counter = (tonumber(redis.call('GET', KEYS[5])) or 0) % unit
  redis.call('ZADD', KEYS[1], string.format('%.0f', tag * unit + counter), id)
  redis.call('HSET', KEYS[6], 'priority', tag, 'about', ARGV[9])
end
if cap and not isHeld then redis.call('HSET', KEYS[6], 'progress', 1) end
if isCrowded then
  holdForShare(KEYS[16], KEYS[17], KEYS[14], KEYS[18], ARGV[14], id, ARGV[15], ARGV[8])
end
redis.call('ZADD', KEYS[10], ARGV[8], id)
redis.call('ZREMRANGEBYRANK', KEYS[10], 0, -1 - ARGV[10])
redis.call('ZREMRANGEBYSCORE', KEYS[10], '-inf', ARGV[8] - ARGV[13])
redis.call('PEXPIRE', KEYS[10], ARGV[13])
if ARGV[6] ~= '' then
  redis.call('SET', KEYS[8], id .. ' ' .. ARGV[6], 'PX', ARGV[7])
  redis.call('ZREMRANGEBYSCORE', KEYS[9], '-inf', ARGV[8] - ARGV[7])
  redis.call('ZADD', KEYS[9], ARGV[8], KEYS[8])
end
return {'accepted', waiting + 1}`;

/** What became of an addition. */
export interface Admission {
  /**
   * `capped`: as many of its function run as may, `waiting` of them, and the caller does not want to wait. `held_full`: as
   * many of its function are held as may be.
   */
  status: 'accepted' | 'full' | 'held_full' | 'capped' | 'known' | 'absent';
  /** Invocations that wait, this one included: for a worker, or, where it is held, for its function. */
  waiting: number;
  /** What the idempotency key stands for. */
  known?: { id: string; digest: string };
}

interface Addition {
  id: string;
  data: InvocationJob;
  queueMax: number;
  /** How many of a tenant's ids its list has at most, and for how long: what is older has no record, as a rule. */
  listMax: number;
  listMs: number;
  idempotency?: Idempotency | undefined;
}

export type InvocationBullQueue = Queue<InvocationJob, Invocation>;

/** `recordsKept` is BullMQ's removal of finished jobs: of how many there are of each tenant it knows nothing (finished-index.ts). */
export function openBullQueue(
  redis: Redis,
  recordsKept: { count?: number; age: number },
): InvocationBullQueue {
  const queue: InvocationBullQueue = new Queue(invocationQueueName, {
    connection: redis,
    prefix: queuePrefix,
    defaultJobOptions: { attempts: 1, removeOnComplete: recordsKept, removeOnFail: recordsKept },
    // The event stream repeats every result and nobody reads it.
    streams: { events: { maxLen: 10 } },
  });
  // It repeats the errors of our connection, which has a listener of its own.
  queue.on('error', () => {});
  redis.defineCommand('onceboxAdmit', { numberOfKeys: 18, lua: admitScript });
  return queue;
}

/** Adds a job and says at once whether there was room: one transaction, one round trip. */
export async function admit(
  queue: InvocationBullQueue,
  { id, data, queueMax, idempotency, listMax, listMs }: Addition,
): Promise<Admission> {
  const client = await queue.backend.client;
  const transaction = client.multi();
  const options = { ...queue.jobsOpts, jobId: id, priority: untagged };
  const job = new Job<InvocationJob, Invocation>(queue, 'invocation', data, options, id);
  // What is queued here is queued at once; its answer comes with the transaction's.
  void job.addJob(transaction);
  transaction.runCommand('onceboxAdmit', [
    ...['prioritized', 'wait', 'delayed'].map(queueKey),
    flowsKey,
    queueKey('pc'),
    queueKey(id),
    cancelledKey(id),
    idempotency?.name ?? '',
    idempotencyIndexKey,
    tenantListKey(data.tenant),
    ...slotKeys(data),
    shareHeldKey(data.tenant),
    shareFlowsKey(data.tenant),
    sharedTenantsKey,
    queueKey(''),
    id,
    flowOf(data),
    costs[data.priority ?? defaultPriority],
    queueMax,
    idempotency?.digest ?? '',
    idempotencyTtlMs,
    Date.now(),
    JSON.stringify(aboutOf(data)),
    listMax,
    cappedName(data),
    data.isAwaited ? '1' : '0',
    listMs,
    data.tenant,
    data.priority ?? defaultPriority,
  ]);
  const replies = await transaction.exec().catch((error: { previousErrors?: Error[] }) => {
    // Redis says what for with the commands that it did not queue.
    throw error.previousErrors?.[0] ?? error;
  });
  for (const [error] of replies ?? []) if (error) throw error;
  const [status, waiting, known] = (replies?.at(-1)?.[1] ?? ['absent', 0]) as ScriptReply;
  if (known === undefined) return { status, waiting };
  const [knownId = '', digest = ''] = known.split(' ');
  return { status, waiting, known: { id: knownId, digest } };
}

/** Whose a job is, and what a list says of it, without its data, which may be megabytes. */
function aboutOf({ tenant, function: called, image, imageDigest, priority, redriveOf }: InvocationJob) {
  return { tenant, function: called, image, imageDigest, priority, redriveOf };
}

type ScriptReply = [Admission['status'], number, string?];

/** Invocations that a worker could take, or will be able to when their pause is over. */
export async function countWaiting(redis: Redis): Promise<number> {
  const replies = await redis
    .pipeline()
    .zcard(queueKey('prioritized'))
    .llen(queueKey('wait'))
    .zcard(queueKey('delayed'))
    .exec();
  let count = 0;
  for (const [error, reply] of replies ?? []) {
    if (error) throw error;
    count += Number(reply);
  }
  return count;
}

/** Whose turns are counted together. */
export function flowOf({ tenant, priority = defaultPriority }: FlowFields): string {
  return `${tenant}/${priority}`;
}

type FlowFields = Pick<InvocationJob, 'tenant' | 'priority'>;
