import { invocationQueueName, queuePrefix } from '../queue/job.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * What tenants use.
 *   oncebox:tenant-running:<tenant>     sorted set: ids of invocations that are accepted and not finished, by the Unix
 *                                       time in ms until which a claim without a job holds
 *   oncebox:tenant-cpu:<tenant>:<day>   CPU time of invocations that ended on that day (UTC), microseconds
 */
const runningKey = (tenant: string) => `oncebox:tenant-running:${tenant}`;
const cpuKey = (tenant: string, atMs: number) =>
  `oncebox:tenant-cpu:${tenant}:${new Date(atMs).toISOString().slice(0, 10)}`;
const cpuKeptSeconds = 2 * 86_400;
/** From the claim until the job must be there, or the gateway has died in between. */
const leaseMs = 15_000;
/** What one look goes through, so that a refusal costs little however many there are. */
const looksAt = 100;

/**
 * Takes out what is finished, and claims whose lease is over and whose job never came. A job that is there and not
 * finished is counted however long it takes, whoever of gateway and worker has died: the job itself is the truth.
 */
const sweep = `
local function sweep(running, ids, now, lease, jobs)
  for _, id in ipairs(ids) do
    local job = jobs .. id
    local isOver = tonumber(redis.call('ZSCORE', running, id) or 0) <= now
    if redis.call('EXISTS', job) == 0 then
      if isOver then redis.call('ZREM', running, id) end
    elseif redis.call('HEXISTS', job, 'finishedOn') == 1 then
      redis.call('ZREM', running, id)
    elseif isOver then
      redis.call('ZADD', running, now + lease, id)
    end
  end
end`;

/**
 * KEYS: running, CPU of today. ARGV: id, Unix time in ms, lease in ms, prefix of jobs, how many to look at, quota of
 * concurrency or -1, quota of CPU in microseconds or -1.
 * Returns {'ok'}, {'concurrency', how many} or {'cpu', microseconds}.
 */
const claimScript = `${sweep}
local now, quota, cpu = tonumber(ARGV[2]), tonumber(ARGV[6]), tonumber(ARGV[7])
if cpu >= 0 then
  local used = tonumber(redis.call('GET', KEYS[2]) or 0)
  if used >= cpu then return {'cpu', used} end
end
if quota >= 0 then
  sweep(KEYS[1], redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[5]), now, ARGV[3], ARGV[4])
  if redis.call('ZCARD', KEYS[1]) >= quota then
    sweep(KEYS[1], redis.call('ZRANGE', KEYS[1], 0, ARGV[5] - 1), now, ARGV[3], ARGV[4])
  end
  local count = redis.call('ZCARD', KEYS[1])
  if count >= quota then return {'concurrency', count} end
  redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
end
return {'ok'}`;

/** KEYS: running. ARGV: as above, from the time on. Returns how many there are. */
const countScript = `${sweep}
sweep(KEYS[1], redis.call('ZRANGE', KEYS[1], 0, ARGV[4] - 1), tonumber(ARGV[1]), ARGV[2], ARGV[3])
return redis.call('ZCARD', KEYS[1])`;

/** KEYS: running, job. ARGV: id. A job that goes on, because it is tried again, stays counted. */
const settleScript = `
local goesOn = redis.call('EXISTS', KEYS[2]) == 1 and redis.call('HEXISTS', KEYS[2], 'finishedOn') == 0
if not goesOn then redis.call('ZREM', KEYS[1], ARGV[1]) end`;

export interface UsageLedger {
  /** A place among the tenant's unfinished invocations; or what there is no more of, and how much of it is used. */
  claim(tenant: string, id: string, quotas: ClaimedQuotas): Promise<Claim>;
  /** The invocation was not accepted, or is finished and its caller is told. */
  release(tenant: string, id: string): Promise<void>;
  /** The job has ended, or is to be tried again. */
  settle(tenant: string, id: string): Promise<void>;
  /** Of today. */
  addCpu(usedUsec: ReadonlyMap<string, number>): Promise<void>;
  concurrency(tenant: string): Promise<number>;
  cpuSecondsToday(tenant: string): Promise<number>;
}

interface ClaimedQuotas {
  concurrency?: number | undefined;
  cpuSecondsPerDay?: number | undefined;
}
type Claim =
  | { status: 'ok' }
  | { status: 'concurrency'; count: number }
  | { status: 'cpu'; usedSeconds: number };

const jobKey = (id: string) => `${queuePrefix}:${invocationQueueName}:${id}`;

export function createUsageLedger(redis: Redis): UsageLedger {
  return {
    async claim(tenant, id, { concurrency = -1, cpuSecondsPerDay }) {
      const now = Date.now();
      const cpuUsec = cpuSecondsPerDay === undefined ? -1 : cpuSecondsPerDay * 1e6;
      const [status, used] = (await redis.eval(
        claimScript,
        ...[2, runningKey(tenant), cpuKey(tenant, now)],
        ...[id, now, leaseMs, jobKey(''), looksAt, concurrency, cpuUsec],
      )) as [Claim['status'], number?];
      switch (status) {
        case 'ok':
          return { status };
        case 'concurrency':
          return { status, count: Number(used) };
        case 'cpu':
          return { status, usedSeconds: Number(used) / 1e6 };
      }
    },
    async release(tenant, id) {
      await redis.zrem(runningKey(tenant), id);
    },
    async settle(tenant, id) {
      await redis.eval(settleScript, 2, runningKey(tenant), jobKey(id), id);
    },
    async addCpu(usedUsec) {
      const now = Date.now();
      const commands = redis.multi();
      for (const [tenant, usec] of usedUsec)
        commands.incrby(cpuKey(tenant, now), Math.round(usec)).expire(cpuKey(tenant, now), cpuKeptSeconds);
      await commands.exec();
    },
    async concurrency(tenant) {
      const count = await redis.eval(
        countScript,
        1,
        runningKey(tenant),
        Date.now(),
        leaseMs,
        jobKey(''),
        looksAt,
      );
      return Number(count);
    },
    async cpuSecondsToday(tenant) {
      return Number((await redis.get(cpuKey(tenant, Date.now()))) ?? 0) / 1e6;
    },
  };
}
