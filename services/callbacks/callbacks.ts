import { Queue } from 'bullmq';
import { z } from 'zod';
import { type CallbackState, callbackStateSchema } from '../../sdk/contract/callback.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { queuePrefix } from '../queue/job.ts';
import { keepNewest } from '../queue/trim-index.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * Keys:
 *   oncebox:callback:<invocation>  hash: tenant, url, status, attempts, lastStatus, lastError; accepted: its call was taken.
 *                                  Expires once it is delivered or has failed.
 *   oncebox:callbacks-due          zset: the invocations whose callback is to be made a job yet, by the Unix time in ms at
 *                                  which they are looked at next
 *   oncebox:callbacks-settled:<tenant>   zset: a tenant's whose hash expires, by the Unix time in ms
 */
const stateKey = (id: string) => `oncebox:callback:${id}`;
const dueKey = 'oncebox:callbacks-due';
const settledKey = (tenant: string) => `oncebox:callbacks-settled:${tenant}`;

export const callbackQueueName = 'callbacks';
export const deliverySchema = z.object({
  id: z.string(),
  tenant: z.string(),
  url: z.string(),
  /** The record as it is sent. */
  body: z.string(),
});
export type Delivery = z.infer<typeof deliverySchema>;

/** Over about an hour, the pause doubled each time. */
const defaultRetries = { attempts: 12, firstMs: 2_000 };
/** What is larger goes without the output. */
const bodyMaxBytes = 1024 * 1024;
/** How long nobody looks at an invocation whose worker tells of its end. */
const lookEveryMs = 5_000;

/** KEYS: due. ARGV: Unix time in ms, when those found are looked at again, most. Returns those that are due. */
const takeDueScript = `
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[2], id) end
return due`;

/**
 * KEYS: state, the tenant's settled. ARGV: status, time to keep it in ms, Unix time in ms, invocation, how many are kept, prefix
 * of states, HTTP status of the answer that delivered it or empty, why it failed or empty. A script that has written something
 * is not refused for want of memory: what was delivered is not sent again because Redis is full. What is settled stays so.
 */
const settleScript = `${keepNewest}
if redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 or redis.call('HGET', KEYS[1], 'status') ~= 'pending' then return end
redis.call('HSET', KEYS[1], 'status', ARGV[1])
if ARGV[8] ~= '' then redis.call('HSETNX', KEYS[1], 'lastError', ARGV[8]) end
if ARGV[7] ~= '' then
  redis.call('HDEL', KEYS[1], 'lastError')
  redis.call('HSET', KEYS[1], 'lastStatus', ARGV[7])
end
keepNewest(KEYS[2], ARGV[4], ARGV[3], ARGV[2], ARGV[5], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[2])`;

export interface CallbacksOptions {
  redis: Redis;
  /** What is known of callbacks is kept as the records are, so many of each tenant. */
  kept: { count: number; ms: number };
  /** For tests of what happens between the attempts. */
  retries?: { attempts: number; firstMs: number };
}

/**
 * What is to be called back when an invocation has ended. It is written down before the invocation is enqueued and crossed
 * out when the delivery is a job, so that no process can take it along when it dies: whoever sees the end makes the job, and
 * gateways look for ends that nobody saw. A job has the invocation's id, and the state says when it is done: made twice, it is
 * sent once.
 */
export interface Callbacks {
  /** To be called before the invocation is enqueued. */
  expect(id: string, tenant: string, url: string): Promise<void>;
  /** It was enqueued: from now on its end is told, even if nothing more is known of it. */
  accepted(id: string): Promise<void>;
  /** It was not enqueued. */
  forget(id: string): Promise<void>;
  /** It has ended so. Does nothing where nobody wants to know. */
  finished(invocation: Invocation): Promise<void>;
  state(id: string): Promise<CallbackState | undefined>;
  /** Those whose end nobody has told yet, and who has not been asked for lately. */
  takeDue(): Promise<{ id: string; isAccepted: boolean; ageMs: number }[]>;
  /** Counts an attempt. False where there is none to make: it has been delivered or has failed. */
  begin(id: string): Promise<boolean>;
  attempted(id: string, outcome: { status?: number; error?: string }): Promise<void>;
  /** Once: what it has come to before, it stays. */
  settle(id: string, settled: Settled): Promise<void>;
  /** Those that are neither delivered nor failed, also of invocations that go on. */
  pending(): Promise<number>;
  close(): Promise<void>;
}

type Settled =
  /** With the status of the answer. */
  | { status: 'delivered'; lastStatus: number }
  /** `error`: where no attempt has said why. */
  | { status: 'failed'; error: string };

export function createCallbacks({ redis, kept, retries = defaultRetries }: CallbacksOptions): Callbacks {
  const queue = new Queue<Delivery>(callbackQueueName, {
    connection: redis,
    prefix: queuePrefix,
    defaultJobOptions: {
      attempts: retries.attempts,
      backoff: { type: 'exponential', delay: retries.firstMs, jitter: 0.5 },
      removeOnComplete: true,
      removeOnFail: true,
    },
    streams: { events: { maxLen: 10 } },
  });
  // It repeats the errors of our connection, which has a listener of its own.
  queue.on('error', () => {});

  return {
    async expect(id, tenant, url) {
      const now = Date.now();
      const fields = { tenant, url, status: 'pending', attempts: 0, sinceMs: now };
      const commands = redis.multi().hset(stateKey(id), fields);
      raise(await commands.zadd(dueKey, now + lookEveryMs, id).exec());
    },
    async accepted(id) {
      await redis.hset(stateKey(id), 'accepted', 1);
    },
    async forget(id) {
      raise(await redis.multi().zrem(dueKey, id).del(stateKey(id)).exec());
    },
    async finished(invocation) {
      const { id } = invocation;
      const [status, tenant, url] = await redis.hmget(stateKey(id), 'status', 'tenant', 'url');
      if (status === 'pending' && tenant != null && url != null)
        await queue.add('deliver', { id, tenant, url, body: bodyOf(invocation) }, { jobId: `cb-${id}` });
      await redis.zrem(dueKey, id);
    },
    async state(id) {
      const { url, status, attempts, lastStatus, lastError } = await redis.hgetall(stateKey(id));
      if (url === undefined || status === undefined) return undefined;
      return callbackStateSchema.parse({
        url,
        status,
        attempts: Number(attempts ?? 0),
        ...(lastStatus !== undefined && { lastStatus: Number(lastStatus) }),
        ...(lastError !== undefined && { lastError }),
      });
    },
    async takeDue() {
      const now = Date.now();
      const ids = (await redis.eval(takeDueScript, 1, dueKey, now, now + lookEveryMs, 200)) as string[];
      const pipeline = redis.pipeline();
      for (const id of ids) pipeline.hmget(stateKey(id), 'accepted', 'sinceMs');
      const states = raise(await pipeline.exec()) as (string | null)[][];
      return ids.map((id, at) => {
        const [accepted, sinceMs] = states[at] ?? [];
        return { id, isAccepted: accepted != null, ageMs: now - Number(sinceMs ?? 0) };
      });
    },
    async begin(id) {
      if ((await redis.hget(stateKey(id), 'status')) !== 'pending') return false;
      await redis.hincrby(stateKey(id), 'attempts', 1);
      return true;
    },
    async attempted(id, { status, error }) {
      const commands = redis.multi().hdel(stateKey(id), 'lastStatus', 'lastError');
      if (status !== undefined) commands.hset(stateKey(id), 'lastStatus', status);
      if (error !== undefined) commands.hset(stateKey(id), 'lastError', error);
      raise(await commands.exec());
    },
    async settle(id, settled) {
      const tenant = (await redis.hget(stateKey(id), 'tenant')) ?? defaultTenant;
      const keys = [stateKey(id), settledKey(tenant)];
      const why = settled.status === 'delivered' ? [settled.lastStatus, ''] : ['', settled.error];
      const args = [settled.status, kept.ms, Date.now(), id, kept.count, stateKey(''), ...why];
      await redis.eval(settleScript, keys.length, ...keys, ...args);
    },
    async pending() {
      const [due, jobs] = await Promise.all([
        redis.zcard(dueKey),
        queue.getJobCountByTypes('active', 'waiting', 'delayed', 'prioritized'),
      ]);
      return due + jobs;
    },
    close: () => queue.close(),
  };
}

/** The record; of one that is too large for a message, what is left without its output, and then without its result. */
function bodyOf(invocation: Invocation): string {
  const whole = JSON.stringify(invocation);
  if (Buffer.byteLength(whole) <= bodyMaxBytes) return whole;
  const { changes: _changes, ...rest } = invocation;
  const cut = { ...rest, stdout: '', stderr: '', stdoutTruncated: true, stderrTruncated: true };
  const shorter = JSON.stringify(cut);
  if (Buffer.byteLength(shorter) <= bodyMaxBytes || cut.outcome?.status !== 'ok') return shorter;
  const { result: _result, ...outcome } = cut.outcome;
  return JSON.stringify({ ...cut, outcome });
}

function raise(replies: [Error | null, unknown][] | null): unknown[] {
  return (replies ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}
