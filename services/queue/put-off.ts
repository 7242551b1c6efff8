import { defaultPriority } from '../../sdk/contract/invocation-options.ts';
import type { Redis } from '../shared/redis.ts';
import { flowOf } from './admission.ts';
import { costs, fairTurn } from './fair-turn.ts';
import { cancelledField, flowsKey, type InvocationJob, queueKey } from './job.ts';

/**
 * Puts a job that its worker holds off until later, behind what its flow has waiting, as BullMQ's own moveToDelayed does; but a
 * job that was given up for stalled is not failed then, and starts that failed are counted by themselves.
 * KEYS: job, active, stalled, delayed, marker, flows, prioritized. ARGV: id, token, Unix time in ms, delay in ms, field
 * that counts, its greatest value, flow, cost. Returns 'put_off'; or why not: 'cancelled', 'enough' when it was put off often
 * enough, 'taken' when it is not the token's.
 */
const script = `${fairTurn}
if redis.call('GET', KEYS[1] .. ':lock') ~= ARGV[2] then return 'taken' end
if redis.call('HEXISTS', KEYS[1], '${cancelledField}') == 1 then return 'cancelled' end
if (tonumber(redis.call('HGET', KEYS[1], ARGV[5])) or 0) >= tonumber(ARGV[6]) then return 'enough' end
if redis.call('LREM', KEYS[2], 1, ARGV[1]) == 0 then return 'taken' end
redis.call('DEL', KEYS[1] .. ':lock')
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('HINCRBY', KEYS[1], ARGV[5], 1)
redis.call('HDEL', KEYS[1], 'defa', 'stc')

local flows = redis.call('HMGET', KEYS[6], 'top', ARGV[7])
local top, last = tonumber(flows[1]) or 0, tonumber(flows[2]) or 0
local tag = giveTag(KEYS[6], ARGV[7], ARGV[8], virtualTime(KEYS[7], top), last, top)
redis.call('HSET', KEYS[1], 'delay', ARGV[4], 'priority', tag)

local due = tonumber(ARGV[3]) + tonumber(ARGV[4])
redis.call('ZADD', KEYS[4], string.format('%.0f', due * 0x1000), ARGV[1])
local first = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[5], string.format('%.0f', math.floor(tonumber(first[2]) / 0x1000)), '1')
return 'put_off'`;

/** Why it runs no more: it did so often enough, or somebody cancelled it. */
export type NotAgain = 'enough' | 'cancelled';

export interface PutOff {
  id: string;
  token: string;
  job: InvocationJob;
  delayMs: number;
  /** `atm`: BullMQ's count of attempts; `starts`: ours, of starts that failed before the program was handed over. */
  counter: 'atm' | 'starts';
  /** So often it may have been put off before. */
  most: number;
}

/** Resolves with what became of that. Throws when the job is not ours any more. */
export async function putOff(
  redis: Redis,
  { id, token, job, delayMs, counter, most }: PutOff,
): Promise<'put_off' | NotAgain> {
  const keys = [
    ...[id, 'active', 'stalled', 'delayed', 'marker'].map(queueKey),
    flowsKey,
    queueKey('prioritized'),
  ];
  const reply = await redis.eval(
    script,
    keys.length,
    ...keys,
    id,
    token,
    Date.now(),
    delayMs,
    counter,
    most,
    flowOf(job),
    costs[job.priority ?? defaultPriority],
  );
  if (reply === 'taken') throw new Error(`cannot put off ${id}: the job is with another worker`);
  return reply as 'put_off' | NotAgain;
}
