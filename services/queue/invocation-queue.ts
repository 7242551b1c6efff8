import type { InvocationSummary } from '../../sdk/contract/dead-letter.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationListQuery } from '../../sdk/contract/invocation-list.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import type { Redis } from '../shared/redis.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import { admit, countWaiting, flowOf, openBullQueue } from './admission.ts';
import { claimWaiting } from './cancel-waiting.ts';
import { createDeadLetters, type DeadLetters } from './dead-letters.ts';
import { createEventFeed, type EventFeed } from './event-feed.ts';
import type { Idempotency } from './idempotency.ts';
import { closeInput, createInputFeed, type InputFeed } from './input-feed.ts';
import { readFiles } from './invocation-files.ts';
import { createInvocationList } from './invocation-list.ts';
import { cancelChannel, cancelledKey, type InvocationJob } from './job.ts';
import { type QueueFigures, readQueueFigures } from './queue-figures.ts';
import {
  cancelledInvocation,
  lostInvocation,
  lostReason,
  storedInvocationSchema,
  unfinishedInvocation,
} from './record.ts';
import { createRedisRoom, type RedisRoom } from './redis-room.ts';
import { capped, heldFull, knownId, queueFull, refusal, uncertain } from './refusals.ts';
import { openResultChannel, publishResult } from './result-channel.ts';
import { heldKey, releaseSlot } from './slots.ts';
import { createResultWait, type WaitOptions } from './wait-for-result.ts';

export type InvocationRequest = Omit<InvocationJob, 'replyTo' | 'enqueuedAtMs'>;

/** The gateway's side of the queue: adds invocations, waits for their results, reads and cancels them. */
export interface InvocationQueue {
  /**
   * Throws PlatformError `queue_full`, or `unavailable` when Redis does not take it; with the id in the error where it
   * may have taken it all the same, and only the answer was lost. The id comes from `newInvocationId`. Resolves with the
   * invocation's id: another one where the idempotency key stands for that, and `idempotency_mismatch` where that was
   * another request.
   */
  enqueue(id: string, request: InvocationRequest, idempotency?: Idempotency): Promise<string>;
  /**
   * Enqueues and resolves with the finished invocation. Throws as `enqueue` does, or `result_pending` after
   * `timeoutMs`, when the invocation goes on without us. An aborted `signal` cancels the invocation, unless it
   * has an idempotency key: then the caller is expected to come back for it. `onStreaming` is told
   * when its result comes as events, which are there to be followed then, `added` when the job is on Redis: its own, or
   * the earlier one that the idempotency key stands for.
   */
  enqueueAndWait(id: string, request: InvocationRequest, options: WaitOptions): Promise<Invocation>;
  /** The record as it is now, or undefined if there is none (any more) of this tenant's, the default one unless given. */
  get(id: string, tenant?: string): Promise<Invocation | undefined>;
  /**
   * Ends an invocation and returns its record: one that waited is cancelled then and there; of one that runs the
   * worker is told, and the record is still `running`, but it is not run again; one that is finished stays as it is.
   */
  cancel(id: string, tenant?: string): Promise<Invocation | undefined>;
  /** What an idempotency key stands for. */
  knownTo(idempotency: Idempotency): Promise<string | undefined>;
  /** A tenant's, newest first. */
  list(tenant: string, query: InvocationListQuery): Promise<InvocationSummary[]>;
  /**
   * The tar of what it left in its writable layer, where that was asked for and still is kept. Whose it is, its record
   * says.
   */
  files(id: string): Promise<Uint8Array | undefined>;
  /** Of these ids, those that have ended, each with how; undefined where there is no record (any more). */
  ended(ids: readonly string[]): Promise<(readonly [string, Invocation | undefined])[]>;
  /** What invocations say while they run. */
  readonly events: EventFeed;
  /** What those that are interactive are told while they run. */
  readonly inputs: InputFeed;
  /** What of Redis' memory may be used, for whoever else stores there. */
  readonly room: RedisRoom;
  readonly deadLetters: DeadLetters;
  /** Invocations that no worker has taken yet, those included that wait for their function or tenant. */
  waiting(): Promise<number>;
  /** For those who watch. */
  figures(): Promise<QueueFigures>;
  close(): Promise<void>;
}

/** What waits for longer than that, as many retries and a function that is stopped make it, may be missing in a list. */
const waitsAtMostMs = 86_400_000;
/** So long after a refusal the next request of its flow asks for a place before it is sent. */
const refusalHoldsMs = 1_000;

export interface InvocationQueueOptions {
  redis: Redis;
  /** A connection of this process that is used for subscriptions only. */
  subscriber: Redis;
  /** Invocations waiting before new ones are refused. */
  queueMax: number;
  /** Of those that are cancelled before a worker takes them; of those that end, workers keep as many of each tenant. */
  recordsKept: number;
  recordsKeptMs: number;
  onError: (error: unknown) => void;
}

export async function createInvocationQueue(options: InvocationQueueOptions): Promise<InvocationQueue> {
  const { redis, subscriber, queueMax, recordsKept, recordsKeptMs, onError } = options;
  const kept = { ...(recordsKept === 0 && { count: 0 }), age: Math.ceil(recordsKeptMs / 1000) };
  const queue = openBullQueue(redis, kept);
  const results = await openResultChannel({ subscriber, readEnded, onError });
  const addAndWait = createResultWait({ results, readEnded, onError });
  const room = createRedisRoom(redis, onError);
  const events = createEventFeed({ redis, subscriber, readFinal, onError });
  const inputs = createInputFeed({ redis, subscriber, room, onError });

  /** When each flow was refused last: what would be refused again is not sent first. */
  const refusedAtMs = new Map<string, number>();

  async function requirePlace(flow: string) {
    if (performance.now() - (refusedAtMs.get(flow) ?? Number.NEGATIVE_INFINITY) > refusalHoldsMs) return;
    const waiting = await countWaiting(redis);
    if (waiting >= queueMax) throw queueFull(waiting);
  }

  async function add(id: string, request: InvocationRequest, idempotency?: Idempotency): Promise<string> {
    const flow = flowOf(request);
    try {
      if (idempotency) {
        // So that what is known is not sent again; the addition itself decides.
        const text = await redis.get(idempotency.name);
        if (text !== null) return knownId(text.split(' '), idempotency);
      }
      await room.claim(bytesOf(request));
      await requirePlace(flow);
    } catch (error) {
      // Nothing was sent yet.
      throw refusal(error) ?? error;
    }
    const data = { ...request, enqueuedAtMs: wallClockMs(), replyTo: results.replyTo };
    const admission = await admit(queue, {
      id,
      data,
      queueMax,
      idempotency,
      listMax: recordsKept + queueMax,
      listMs: recordsKeptMs + waitsAtMostMs,
    }).catch((error: unknown) => {
      throw refusal(error) ?? uncertain(id, error);
    });
    if (admission.status === 'absent') throw uncertain(id, new Error('the job is not in the queue'));
    if (admission.status === 'accepted') {
      refusedAtMs.delete(flow);
      return id;
    }
    if (admission.known && idempotency)
      return knownId([admission.known.id, admission.known.digest], idempotency);
    if (admission.status === 'capped') throw capped(request.function?.name, admission.waiting);
    if (admission.status === 'held_full') throw heldFull(request.function?.name, admission.waiting);
    refusedAtMs.set(flow, performance.now());
    throw queueFull(admission.waiting);
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
        const lost = lostInvocation(id, job.data, lostReason(reason ?? 'the worker failed'));
        return { ...lost, attempt: Math.max(1, job.attemptsMade) };
      }
      case 'active':
        return { ...unfinishedInvocation(id, job.data, 'running'), attempt: job.attemptsMade + 1 };
      case 'unknown': {
        const queued = { ...unfinishedInvocation(id, job.data, 'queued'), attempt: job.attemptsMade + 1 };
        if ((await redis.zscore(heldKey, id)) !== null) return queued;
        // It may have been let in or taken between the two looks.
        const isThere = (await queue.getJobState(id)) !== 'unknown';
        return isThere ? queued : readCancelled(id, tenant);
      }
      default:
        return { ...unfinishedInvocation(id, job.data, 'queued'), attempt: job.attemptsMade + 1 };
    }
  }

  async function cancel(id: string, tenant?: string): Promise<Invocation | undefined> {
    const job = await queue.getJob(id);
    if (!job) return readCancelled(id, tenant);
    if (!isOf(tenant, job.data)) return undefined;
    const claimed = await claim(id, job.data);
    if (claimed) return claimed;
    const current = await get(id, tenant);
    if (current?.status !== 'running' && current?.status !== 'queued') return current;
    if (current.status === 'running') await redis.publish(cancelChannel, id);
    // Its worker may have held it for its tenant's share in between: then none has it.
    return (await claim(id, job.data)) ?? current;
  }

  /** Undefined where it does not wait. */
  async function claim(id: string, job: InvocationJob): Promise<Invocation | undefined> {
    const record = cancelledInvocation(id, job);
    if (!(await claimWaiting(redis, { job, record, kept: recordsKept, keptMs: recordsKeptMs })))
      return undefined;
    await releaseSlot(redis, id, job);
    // No worker will.
    if (job.interactive) await closeInput(redis, id);
    await publishResult(redis, job.replyTo, record);
    return record;
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
    inputs,
    room,
    deadLetters: createDeadLetters(redis),
    enqueue: add,
    enqueueAndWait(id, request, options) {
      const awaited = { ...request, isAwaited: true };
      const whatFor = {
        add: () => add(id, awaited, options.idempotency),
        cancel: () => cancel(id, request.tenant),
      };
      return addAndWait(id, whatFor, options);
    },
    get: (id, tenant = defaultTenant) => get(id, tenant),
    cancel: (id, tenant = defaultTenant) => cancel(id, tenant),
    ended: readEnded,
    async knownTo(idempotency) {
      const text = await redis.get(idempotency.name);
      return text === null ? undefined : knownId(text.split(' '), idempotency);
    },
    list: createInvocationList({ redis, readCancelled: (id) => readCancelled(id) }),
    files: (id) => readFiles(redis, id),
    waiting: async () => (await countWaiting(redis)) + (await redis.zcard(heldKey)),
    figures: () => readQueueFigures(redis),
    async close() {
      await results.close();
      await events.close();
      inputs.close();
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
