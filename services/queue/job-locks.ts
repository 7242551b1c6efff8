import type { Redis } from '../shared/redis.ts';
import { queueKey as key, queuePrefix } from './job.ts';

/*
 * BullMQ's locks, where its own handling would make an invocation `lost` that is not, or let a caller wait long for one
 * that is. A job's lock holds the token of who runs it, which begins with the worker's id.
 */

const ownerTtlMs = 7 * 86_400_000;

/**
 * Takes the locks of this node's previous worker away, who is dead, and has these jobs looked at by the next check, which
 * may come at once. A job without a lock may run on another node, which takes its lock again before a check. KEYS: active list, stalled set, check's pause, the node's worker. ARGV: prefix of job
 * keys, our worker id, time to keep that in ms. Returns how many jobs were left behind.
 */
const succeedScript = `
local previous = redis.call('GET', KEYS[4])
local count = 0
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local lock = ARGV[1] .. id .. ':lock'
  local token = redis.call('GET', lock)
  if token and previous and previous ~= ARGV[2] and string.sub(token, 1, #previous + 1) == previous .. ':' then
    redis.call('DEL', lock)
    redis.call('SADD', KEYS[2], id)
    count = count + 1
  end
end
if count > 0 then redis.call('DEL', KEYS[3]) end
redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[3])
return count`;

/** To be called before the worker runs. `node` is the same for all workers that follow each other on one data directory. */
export async function succeedWorker(redis: Redis, node: string, workerId: string): Promise<number> {
  const keys = [key('active'), key('stalled'), key('stalled-check'), `${queuePrefix}:worker-of:${node}`];
  return Number(await redis.eval(succeedScript, keys.length, ...keys, key(''), workerId, ownerTtlMs));
}

/**
 * A lock expires while Redis is away or refuses to write. As long as nobody has given the job up, its worker takes it
 * again, and for the whole time: it is not to expire right after. KEYS: job, active list. ARGV: job id, token, lock's duration in ms.
 */
const retakeScript = `
local record = redis.call('HMGET', KEYS[1], 'finishedOn', 'returnvalue')
if record[1] then return record[2] and 'recorded' or 'taken' end
local token = redis.call('GET', KEYS[1] .. ':lock')
if token and token ~= ARGV[2] then return 'taken' end
if not token and not redis.call('LPOS', KEYS[2], ARGV[1]) then return 'taken' end
redis.call('SET', KEYS[1] .. ':lock', ARGV[2], 'PX', ARGV[3])
return 'ours'`;

/** Whether the job is still its worker's, has a result already, or was given up by others, who say so. */
export type JobStanding = 'ours' | 'recorded' | 'taken';

export async function retakeLock(
  redis: Redis,
  id: string,
  token: string,
  durationMs: number,
): Promise<JobStanding> {
  const keys = [key(id), key('active')];
  return (await redis.eval(retakeScript, keys.length, ...keys, id, token, durationMs)) as JobStanding;
}

/**
 * Ours alone: BullMQ's gives a job with a priority back without waking anybody, behind what was added at lower tags since.
 * KEYS: job's lock, active list, stalled set, wait list, marker. ARGV: job id, token. Returns 1, or 0 when it is not the token's.
 */
const giveBackScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[3], ARGV[1])
if redis.call('LREM', KEYS[2], 1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[5], 0, '0')
return 1`;

/** Puts a job that was not begun in front of all that wait. False when it is not ours (any more). */
export async function giveBack(redis: Redis, id: string, token: string): Promise<boolean> {
  const keys = [`${id}:lock`, 'active', 'stalled', 'wait', 'marker'].map(key);
  return (await redis.eval(giveBackScript, keys.length, ...keys, id, token)) === 1;
}

/** KEYS: active list. ARGV: prefix of job keys, a worker's id. Returns ids and tokens, by turns. */
const jobsOfScript = `
local found = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local token = redis.call('GET', ARGV[1] .. id .. ':lock')
  if token and string.sub(token, 1, #ARGV[2] + 1) == ARGV[2] .. ':' then
    table.insert(found, id)
    table.insert(found, token)
  end
end
return found`;

/** The jobs that Redis believes to be with a worker, as [id, token]. */
export async function jobsOfWorker(redis: Redis, workerId: string): Promise<[string, string][]> {
  const flat = (await redis.eval(jobsOfScript, 1, key('active'), key(''), workerId)) as string[];
  return flat.flatMap((id, at) => (at % 2 === 0 ? [[id, flat[at + 1] as string] as [string, string]] : []));
}
