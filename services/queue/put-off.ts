import { defaultPriority } from '../../sdk/contract/invocation-options.ts';
import type { Redis } from '../shared/redis.ts';
import { costs, flowOf } from './admission.ts';
import { fairTurn } from './fair-turn.ts';
import { flowsKey, type InvocationJob, queueKey } from './job.ts';

/**
 * Puts a job that its worker holds off until later, behind what its flow has waiting, as BullMQ's own moveToDelayed does; but a
 * job that was given up for stalled is not failed then, and starts that failed are counted by themselves.
 * KEYS: job, active, stalled, delayed, marker, flows, prioritized. ARGV: id, token, Unix time in ms, delay in ms, field
 * that counts, its greatest value, flow, cost. Returns 1; 0 when it was put off often enough; -1 when it is not the token's.
 */
const script = `${fairTurn}
if redis.call('GET', KEYS[1] .. ':lock') ~= ARGV[2] then return -1 end
if (tonumber(redis.call('HGET', KEYS[1], ARGV[5])) or 0) >= tonumber(ARGV[6]) then return 0 end
if redis.call('LREM', KEYS[2], 1, ARGV[1]) == 0 then return -1 end
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
return 1`;

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

/** Whether it was: not when that is enough. Throws when the job is not ours any more. */
export async function putOff(
  redis: Redis,
  { id, token, job, delayMs, counter, most }: PutOff,
): Promise<boolean> {
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
  if (reply === -1) throw new Error(`cannot put off ${id}: the job is with another worker`);
  return reply === 1;
}
