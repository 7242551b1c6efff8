import { Queue } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import { createEventFeed, type EventFeed } from './event-feed.ts';
import { readFiles } from './invocation-files.ts';
import {
  cancelChannel,
  cancelledIndexKey,
  cancelledKey,
  type InvocationJob,
  invocationQueueName,
  queuePrefix,
} from './job.ts';
import { isRedisFull } from './make-room.ts';
import { type QueueFigures, readQueueFigures } from './queue-figures.ts';
import {
  cancelledInvocation,
  lostInvocation,
  lostReason,
  storedInvocationSchema,
  unfinishedInvocation,
} from './record.ts';
import { createRedisRoom, type RedisRoom } from './redis-room.ts';
import { openResultChannel, publishResult } from './result-channel.ts';

export type InvocationRequest = Omit<InvocationJob, 'replyTo' | 'enqueuedAtMs'>;

/** The gateway's side of the queue: adds invocations, waits for their results, reads and cancels them. */
export interface InvocationQueue {
  /**
   * Throws PlatformError `queue_full`, or `unavailable` when Redis does not take it; with the id in the error where it
   * may have taken it all the same, and only the answer was lost. The id comes from `newInvocationId`.
   */
  enqueue(id: string, request: InvocationRequest): Promise<void>;
  /**
   * Enqueues and resolves with the finished invocation. Throws as `enqueue` does, or `result_pending` after
   * `timeoutMs`, when the invocation goes on without us. An aborted `signal` cancels the invocation. `onStreaming` is told
   * when its result comes as events, which are there to be followed then, `added` when the job is on Redis.
   */
  enqueueAndWait(id: string, request: InvocationRequest, options: WaitOptions): Promise<Invocation>;
  /** The record as it is now, or undefined if there is none (any more) of this tenant's, the default one unless given. */
  get(id: string, tenant?: string): Promise<Invocation | undefined>;
  /**
   * Ends an invocation and returns its record: one that waited is cancelled then and there; of one that runs the
   * worker is told, and the record is still `running`; one that is finished stays as it is.
   */
  cancel(id: string, tenant?: string): Promise<Invocation | undefined>;
  /**
   * The tar of what it left in its writable layer, where that was asked for and still is kept. Whose it is, its record
   * says.
   */
  files(id: string): Promise<Uint8Array | undefined>;
  /** Of these ids, those that have ended, each with how; undefined where there is no record (any more). */
  ended(ids: readonly string[]): Promise<(readonly [string, Invocation | undefined])[]>;
  /** What invocations say while they run. */
  readonly events: EventFeed;
  /** What of Redis' memory may be used, for whoever else stores there. */
  readonly room: RedisRoom;
  /** Invocations that no worker has taken yet. */
  waiting(): Promise<number>;
  /** For those who watch. */
  figures(): Promise<QueueFigures>;
  close(): Promise<void>;
}

interface WaitOptions {
  timeoutMs: number;
  signal?: AbortSignal;
  onStreaming?: () => void;
  added?: () => void;
}

export interface InvocationQueueOptions {
  redis: Redis;
  /** A connection of this process that is used for subscriptions only. */
  subscriber: Redis;
  /** Invocations waiting before new ones are refused. */
  queueMax: number;
  recordsKept: number;
  recordsKeptMs: number;
  onError: (error: unknown) => void;
}

/**
 * Takes a job off the waiting list and records it as cancelled, atomically: whoever removes it from the list
 * owns it, so a worker either never sees it or keeps it.
 * KEYS: waiting list, cancelled record, index of these. ARGV: job id, record JSON, time to keep it in ms, Unix time in ms,
 * prefix of cancelled records, how many are kept. Returns 1 if taken.
 */
const claimWaitingScript = `
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[4] - ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
local tooMany = redis.call('ZCARD', KEYS[3]) - ARGV[6]
if tooMany > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, tooMany - 1)) do
    redis.call('DEL', ARGV[5] .. id)
    redis.call('ZREM', KEYS[3], id)
  end
end
return 1`;

export async function createInvocationQueue(options: InvocationQueueOptions): Promise<InvocationQueue> {
  const { redis, subscriber, queueMax, recordsKept, recordsKeptMs, onError } = options;
  const kept = { count: recordsKept, age: Math.ceil(recordsKeptMs / 1000) };
  const queue = new Queue<InvocationJob, Invocation>(invocationQueueName, {
    connection: redis,
    prefix: queuePrefix,
    // An invocation runs at most once: a retry is the caller's decision.
    defaultJobOptions: { attempts: 1, removeOnComplete: kept, removeOnFail: kept },
    // The event stream repeats every result and nobody reads it.
    streams: { events: { maxLen: 10 } },
  });
  // It repeats the errors of our connection, which has a listener of its own.
  queue.on('error', () => {});
  const waitingList = queue.toKey('wait');
  const results = await openResultChannel({ subscriber, readEnded, onError });
  const room = createRedisRoom(redis, onError);
  const events = createEventFeed({ redis, subscriber, readFinal, onError });

  /*
   * Never fewer than wait: those of the last answer and all that may have been added behind it. With one gateway the
   * bound is exact; each of several may overshoot by what the others add in the meantime.
   */
  let counted = 0;
  let landedBefore = 0;
  let added = 0;
  let landed = 0;
  let counting: Promise<void> | undefined;
  const waitingAtMost = () => counted + added - landedBefore;

  function countWaiting(): Promise<void> {
    const count = async () => {
      const before = landed;
      counted = await redis.llen(waitingList);
      landedBefore = before;
    };
    counting ??= count().finally(() => {
      counting = undefined;
    });
    return counting;
  }

  /** Takes a place in the queue. */
  async function findPlace() {
    // Near the end additions are waited for, until it is certain whether there is a place.
    for (let isFresh = false; waitingAtMost() >= queueMax; isFresh = true) {
      if (isFresh && counted >= queueMax) {
        throw new PlatformError('queue_full', `cannot enqueue: ${counted} invocations are waiting`, {
          retryAfterSeconds: 1,
        });
      }
      // What was asked for already may be answered with what was before.
      await counting;
      await countWaiting();
    }
    added += 1;
  }

  async function add(id: string, request: InvocationRequest) {
    try {
      await room.claim(bytesOf(request));
      await findPlace();
    } catch (error) {
      // Nothing was sent yet.
      throw refusal(error) ?? error;
    }
    const job = { ...request, enqueuedAtMs: wallClockMs(), replyTo: results.replyTo };
    try {
      await queue.add('invocation', job, { jobId: id });
    } catch (error) {
      throw refusal(error) ?? uncertain(id, error);
    } finally {
      landed += 1;
    }
    // After the addition and not before it, so that none waits for the answer.
    countWaiting().catch(() => {});
  }

  async function enqueueAndWait(
    id: string,
    request: InvocationRequest,
    { timeoutMs, signal, onStreaming, added }: WaitOptions,
  ): Promise<Invocation> {
    const expected = results.expect(id, onStreaming);
    const timeout = deadline(timeoutMs);
    const abort = () => void cancel(id, request.tenant).catch(onError);
    try {
      await add(id, request);
      expected.added();
      added?.();
      // Only now: before the job is added there is nothing to cancel.
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort, { once: true });
      const arrived = await Promise.race([expected.arrived, timeout.passed]);
      // That Redis does not answer now says nothing of the invocation.
      const finished = arrived ?? (await readFinished(id).catch(() => undefined));
      if (finished) return finished;
      throw new PlatformError('result_pending', `no result after ${timeoutMs} ms; the invocation goes on`, {
        invocationId: id,
      });
    } finally {
      signal?.removeEventListener('abort', abort);
      timeout.clear();
      expected.forget();
    }
  }

  /** Of any tenant unless given: of what this process has enqueued itself, nobody need ask. */
  async function get(id: string, tenant?: string): Promise<Invocation | undefined> {
    const job = await queue.getJob(id);
    if (!job) return readCancelled(id, tenant);
    if (!isOf(tenant, job.data)) return undefined;
    const state = await job.getState();
    switch (state) {
      case 'completed': {
        // The job was read before its state: it may have finished in between.
        const finished = job.returnvalue ?? (await queue.getJob(id))?.returnvalue;
        const parsed = storedInvocationSchema.safeParse(finished);
        return parsed.success ? parsed.data : lostInvocation(id, job.data, 'the worker returned no record');
      }
      case 'failed': {
        const reason = job.failedReason ?? (await queue.getJob(id))?.failedReason;
        return lostInvocation(id, job.data, lostReason(reason ?? 'the worker failed'));
      }
      case 'active':
        return unfinishedInvocation(id, job.data, 'running');
      case 'unknown':
        return readCancelled(id, tenant);
      default:
        return unfinishedInvocation(id, job.data, 'queued');
    }
  }

  async function cancel(id: string, tenant?: string): Promise<Invocation | undefined> {
    const job = await queue.getJob(id);
    if (!job) return readCancelled(id, tenant);
    if (!isOf(tenant, job.data)) return undefined;
    const cancelled = cancelledInvocation(id, job.data);
    const record = JSON.stringify({ ...cancelled, tenant: job.data.tenant });
    const claimed = await redis.eval(
      claimWaitingScript,
      3,
      waitingList,
      cancelledKey(id),
      cancelledIndexKey,
      id,
      record,
      recordsKeptMs,
      Date.now(),
      cancelledKey(''),
      recordsKept,
    );
    if (claimed === 1) {
      await queue.remove(id);
      await publishResult(redis, job.data.replyTo, cancelled);
      return cancelled;
    }
    const current = await get(id, tenant);
    if (current?.status === 'running') await redis.publish(cancelChannel, id);
    return current;
  }

  async function readFinished(id: string): Promise<Invocation | undefined> {
    const record = await get(id);
    return record?.status === 'done' || record?.status === 'failed' ? record : undefined;
  }

  async function readFinal(id: string): Promise<Invocation | 'gone' | undefined> {
    const [ended] = await readEnded([id]);
    if (!ended) return undefined;
    if (ended[1]) return ended[1];
    // It waits again, or was never there.
    return (await get(id)) ? undefined : 'gone';
  }

  /** Cheap where they go on, which is the rule: a job's data may be megabytes. */
  async function readEnded(ids: readonly string[]) {
    const pipeline = redis.pipeline();
    for (const id of ids) pipeline.hmget(queue.toKey(id), 'timestamp', 'finishedOn');
    const fields = ((await pipeline.exec()) ?? []).map(([error, reply]) => {
      if (error) throw error;
      return reply as (string | null)[];
    });
    // Finished, or no job at all: cancelled before it was taken, or forgotten.
    const ended = ids.filter((_, at) => fields[at]?.[0] == null || fields[at]?.[1] != null);
    return Promise.all(ended.map(async (id) => [id, await readFinished(id)] as const));
  }

  async function readCancelled(id: string, tenant?: string): Promise<Invocation | undefined> {
    const stored = JSON.parse((await redis.get(cancelledKey(id))) ?? 'null');
    return stored !== null && isOf(tenant, stored) ? storedInvocationSchema.parse(stored) : undefined;
  }

  return {
    events,
    room,
    enqueue: add,
    enqueueAndWait,
    get: (id, tenant = defaultTenant) => get(id, tenant),
    cancel: (id, tenant = defaultTenant) => cancel(id, tenant),
    ended: readEnded,
    files: (id) => readFiles(redis, id),
    waiting: () => redis.llen(waitingList),
    figures: () => readQueueFigures(redis),
    async close() {
      await results.close();
      await events.close();
      await queue.close();
    },
  };
}

/** Of an earlier release's job or record, which names none, the default tenant has it. */
function isOf(tenant: string | undefined, owned: { tenant?: string } | undefined): boolean {
  return tenant === undefined || (owned?.tenant ?? defaultTenant) === tenant;
}

/** About how many bytes the job has on Redis: as JSON, where a character may become six. */
function bytesOf(request: InvocationRequest): number {
  return 2048 + Buffer.byteLength(JSON.stringify(request));
}

/** The error of a Redis that says that it did not do what it was asked. */
function refusal(error: unknown): PlatformError | undefined {
  if (error instanceof PlatformError) return error;
  const why = isRedisFull(error)
    ? 'the memory of Redis is used up'
    : /\bMISCONF\b/.test(String(error))
      ? 'Redis cannot write to its disk'
      : undefined;
  return why === undefined
    ? undefined
    : new PlatformError('unavailable', `cannot enqueue: ${why}`, { retryAfterSeconds: 1, cause: error });
}

/** The connection went, or the answer did not come: a job may be there or not. */
function uncertain(id: string, error: unknown): PlatformError {
  return new PlatformError(
    'unavailable',
    'Redis went away while the invocation was being enqueued: if it has a record, it runs',
    { invocationId: id, retryAfterSeconds: 1, cause: error },
  );
}

function deadline(ms: number): { passed: Promise<undefined>; clear: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  return { passed, clear: () => clearTimeout(timer) };
}
