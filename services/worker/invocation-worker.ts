import { setTimeout as delay } from 'node:timers/promises';
import { DelayedError, Job, WaitingError, Worker } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import type { Callbacks } from '../callbacks/callbacks.ts';
import type { DeadLetterBounds } from '../queue/dead-letters.ts';
import { createFinishedIndex, type RecordBounds } from '../queue/finished-index.ts';
import { closeInput } from '../queue/input-feed.ts';
import { type InvocationJob, invocationQueueName, queuePrefix } from '../queue/job.ts';
import { giveBack, jobsOfWorker, retakeLock } from '../queue/job-locks.ts';
import { isRedisFull, makeRoom } from '../queue/make-room.ts';
import { lostInvocation, lostReason } from '../queue/record.ts';
import { publishResult } from '../queue/result-channel.ts';
import { hasSlot, releaseSlot, sweepSlots } from '../queue/slots.ts';
import type { Redis } from '../shared/redis.ts';
import {
  type InvocationDeps,
  NotStartedError,
  processInvocation,
  StartFailedError,
} from './process-invocation.ts';
import { recordResult } from './record-result.ts';
import { createSettler } from './settle.ts';
import { createTenantShare } from './tenant-share.ts';

/**
 * A worker's machine that dies is noticed by the others within lockDuration + 2 × stalledInterval; a worker that dies
 * alone by its successor on the same data directory, as soon as that runs.
 */
const lockDurationMs = 10_000;
const stalledIntervalMs = 3_000;
/** BullMQ would wait 15 s after an error of Redis before it asks for jobs again. */
const runRetryDelayMs = 500;
/** A reply that Redis gave so long ago has come, or never will. */
const replyGraceMs = 1_000;

export interface InvocationWorkerOptions {
  redis: Redis;
  concurrency: number;
  /** Whether there is more than one tenant, so that none may take the last places; never unless given. */
  isShared?: () => boolean;
  deps: InvocationDeps;
  /** Told of the end of those for which somebody is to be called back. */
  callbacks?: Pick<Callbacks, 'finished'>;
  /** How many records each tenant has, and for how long. */
  recordsKept: RecordBounds;
  /** What is kept of asynchronous invocations that did not end ok. */
  deadLetters: DeadLetterBounds;
  /** For tests of what happens to a dead worker's jobs. */
  stalled?: { lockDurationMs: number; intervalMs: number };
}

/** A job that is here: its lock's token, whose it is, and what says that its result is told or never will be. */
interface Held {
  token: string;
  tenant: string;
  tell: () => void;
}

/** Takes invocations from the queue once `run()` is called. */
export function createInvocationWorker(options: InvocationWorkerOptions): Worker<InvocationJob, Invocation> {
  const { redis, concurrency, deps, callbacks } = options;
  const lockMs = options.stalled?.lockDurationMs ?? lockDurationMs;
  const warn = (error: unknown) => deps.logger.warn({ err: error }, 'queue connection failed');
  /** The jobs that are here, till their results are told. */
  const held = new Map<string, Held>();
  /** Takings that never reached us: the jobs are in the queue again. */
  const putBack = new Set<string>();
  const settler = createSettler({ redis, lockMs, deadLetters: options.deadLetters, onError: complain });
  const share = createTenantShare({
    redis,
    places: concurrency,
    isShared: options.isShared ?? (() => false),
    countOf: (tenant) => [...held.values()].filter((job) => job.tenant === tenant).length,
    onError: complain,
  });
  const records = createFinishedIndex({ redis, kept: options.recordsKept, onError: complain });
  const takingOf = ({ id, attemptsStarted }: Job, token: string) => `${id} ${attemptsStarted} ${token}`;

  async function processJob(job: Job<InvocationJob>, token = ''): Promise<Invocation> {
    const id = job.id ?? '';
    if (putBack.has(takingOf(job, token))) throw new WaitingError();
    const tenant = tenantOf(job);
    const told = new Promise<void>((tell) => held.set(id, { token, tenant, tell }));
    try {
      if (!(await mayRun(id, token, tenant))) {
        // Nobody is let in for one that is held itself.
        held.delete(id);
        throw new WaitingError();
      }
      const taken = { id, data: job.data, enqueuedAt: job.timestamp, told, attempt: job.attemptsMade + 1 };
      const invocation = await processInvocation({ ...taken, mayStartLater: true }, deps).catch(
        (error: unknown) => startLater(job, token, error),
      );
      return await settler.settle(job, token, invocation);
    } catch (error) {
      release(id);
      if (!(error instanceof NotStartedError)) throw error;
      await giveBack(redis, id, token);
      throw new WaitingError();
    }
  }

  /** One that was cancelled on its way here ends at once. */
  async function mayRun(id: string, token: string, tenant: string): Promise<boolean> {
    return deps.runs.isCancelled(id) || (await share.mayRun(id, token, tenant));
  }

  async function startLater(job: Job<InvocationJob>, token: string, error: unknown): Promise<Invocation> {
    if (!(error instanceof StartFailedError)) throw error;
    deps.logger.warn({ invocationId: job.id, reason: error.message }, 'an invocation could not be started');
    const why = await settler.startLater(job, token);
    return error.end(
      why === 'cancelled' ? { status: 'cancelled' } : { status: 'lost', reason: error.message },
    );
  }

  function release(id: string, telling?: Promise<void>): void {
    const job = held.get(id);
    held.delete(id);
    if (!job) return;
    void Promise.resolve(telling).finally(job.tell);
    share.ended(job.tenant);
  }

  /** As BullMQ's, with a record that outlasts an outage of Redis. BullMQ calls it when a job's program has ended. */
  class RecordedJob extends Job<InvocationJob, Invocation> {
    override async moveToCompleted(invocation: Invocation, token: string, fetchNext?: boolean) {
      const write = () => super.moveToCompleted(invocation, token, fetchNext);
      let telling: Promise<void> | undefined;
      try {
        const recorded = await recordResult(redis, { id: invocation.id, token, lockMs, write }, warn);
        // Only now, when the record is written: whoever is woken by the reply and reads the record finds it finished.
        // That costs the reply one round trip to Redis, 0.2 ms on a socket.
        if (recorded) {
          telling = publish(this, invocation);
          records.add(tenantOf(this), invocation.id);
          void callBack(this, invocation);
          // Most have none, and cost no round trip.
          if (hasSlot(this)) void releaseSlot(redis, invocation.id, this.data).catch(warn);
        } else
          deps.logger.error(
            { invocationId: invocation.id },
            'invocation was given up by others while it ran here',
          );
        return recorded?.next;
      } finally {
        release(invocation.id, telling);
      }
    }

    /** For one whose worker died, too: it may have to run again. */
    override async moveToFailed<E extends Error>(error: E, token: string, fetchNext?: boolean) {
      const lost = lostInvocation(this.id ?? '', this.data, lostReason(error.message));
      const record = await settler.settle(this, token, { ...lost, attempt: this.attemptsMade + 1 });
      if (record.outcome?.status === 'cancelled') return this.moveToCompleted(record, token, fetchNext);
      return super.moveToFailed(error, token, fetchNext);
    }
  }
  class InvocationWorker extends Worker<InvocationJob, Invocation> {
    protected override get Job(): typeof Job {
      return RecordedJob as typeof Job;
    }
  }

  const worker = new InvocationWorker(invocationQueueName, processJob, {
    connection: redis,
    prefix: queuePrefix,
    autorun: false,
    concurrency,
    // A job whose worker died may have run already, so it fails instead of running again.
    maxStalledCount: 0,
    lockDuration: lockMs,
    // Ours goes first for the locks that expired, see lookForStalled; BullMQ's would give up jobs that run on.
    skipStalledCheck: true,
    stalledInterval: options.stalled?.intervalMs ?? stalledIntervalMs,
    runRetryDelay: runRetryDelayMs,
  });
  async function publish(job: Job<InvocationJob>, invocation: Invocation): Promise<void> {
    // It may have ended before its program began to read.
    if (job.data?.interactive) void closeInput(redis, invocation.id).catch(warn);
    // The type is what gateways promise; a malformed job may have none.
    const replyTo: unknown = job.data?.replyTo;
    if (typeof replyTo !== 'string') return;
    await publishResult(redis, replyTo, invocation).catch((error: unknown) =>
      deps.logger.warn({ err: error, invocationId: invocation.id }, 'cannot publish a result'),
    );
    deps.events?.recorded(invocation.id);
  }
  /** Who dies before, or fails here, leaves it to a gateway, which looks for ends that nobody told. */
  async function callBack(job: Job<InvocationJob>, invocation: Invocation): Promise<void> {
    if (job.data?.callback !== undefined) await callbacks?.finished(invocation).catch(warn);
  }
  worker.on('failed', (job, error) => {
    // It was cancelled: it has a record, which is told already.
    if (job?.returnvalue) return;
    const reason = lostReason(error.message);
    deps.logger.error({ err: error, invocationId: job?.id }, 'invocation lost');
    if (job?.id === undefined) return;
    const lost = lostInvocation(job.id, job.data, reason);
    void publish(job, lost);
    records.add(tenantOf(job), job.id);
    void callBack(job, lost);
    void releaseSlot(redis, job.id, job.data).catch(warn);
  });
  function complain(error: unknown) {
    // It was put off where BullMQ expected it to end.
    if (error instanceof DelayedError) return;
    warn(error);
    if (isRedisFull(error)) makeRoom(redis).catch(warn);
  }
  worker.on('error', complain);
  /**
   * What BullMQ would do by itself, after what it does not: a lock that expired while Redis was away or refused to write
   * is taken again where the program runs on, before anybody can take the job for a dead worker's.
   */
  async function lookForStalled() {
    const intervalMs = options.stalled?.intervalMs ?? stalledIntervalMs;
    let lookedAtMs = performance.now();
    const retakeAll = () =>
      Promise.all([...held].map(([id, { token }]) => retakeLock(redis, id, token, lockMs)));
    while (!worker.closing) {
      try {
        await retakeAll();
        // Was Redis away, the other nodes have a round's time to take their locks again.
        const wasAway = performance.now() - lookedAtMs > intervalMs + lockMs / 2;
        lookedAtMs = performance.now();
        // Sent together: were we, or Redis, to stand still between an answer and the check, the locks could expire again.
        if (!wasAway) await Promise.all([retakeAll(), worker.backend.moveStalledJobsToWait()]);
      } catch (error) {
        complain(error);
      }
      // One that fails again and again is not to keep the others from their turn.
      await sweepSlots(redis).catch(complain);
      await share.sweep().catch(complain);
      await records.sweep().catch(complain);
      await delay(intervalMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }
  const closing = new AbortController();
  worker.on('closing', () => closing.abort());
  void lookForStalled();
  // Of a connection that broke, a reply may be lost that had brought a job. No program of it was started.
  const onReady = () => void returnUnheard().catch(warn);
  async function returnUnheard() {
    const before = await jobsOfWorker(redis, worker.id);
    await delay(replyGraceMs, undefined, { ref: false });
    const now = new Map(await jobsOfWorker(redis, worker.id));
    for (const [id, token] of before) {
      if (held.has(id) || now.get(id) !== token || worker.closing) continue;
      const job = await Job.fromId<InvocationJob, Invocation>(worker, id);
      if (!job || held.has(id)) continue;
      // Before it is asked for: a reply that comes after all finds this.
      putBack.add(takingOf(job, token));
      if (await giveBack(redis, id, token))
        deps.logger.warn({ invocationId: id }, 'an invocation whose taking got lost waits again');
    }
  }
  redis.on('ready', onReady);
  worker.on('closed', () => redis.off('ready', onReady));
  return worker;
}

/** What a malformed job names may be anything. */
const tenantOf = ({ data }: Job): string => String(data?.tenant ?? defaultTenant);
