import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Job, Worker } from 'bullmq';
import { invocationIdOf } from '../queue/invocation-id.ts';
import { queuePrefix } from '../queue/job.ts';
import type { Logger } from '../shared/logger.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import type { Definition } from './schedule-store.ts';
import { type Fire, fireSchema, type Schedules, scheduleQueueName, scheduleSettings } from './schedules.ts';

/** Fires that one gateway is at, at once. */
const concurrency = 32;
/** A gateway that dies with a fire: another takes it within about this time. */
const lockDurationMs = 5_000;
const stalledIntervalMs = 2_500;
/** BullMQ would wait 15 s after an error of Redis. */
const runRetryDelayMs = 500;
const reconcileEveryMs = 60_000;
/** So long behind its time, or longer, a call is late. */
const lateMs = 10_000;

export interface ScheduledCall extends Pick<Definition, 'function' | 'eventJson' | 'priority'> {
  tenant: string;
  /** Of the invocation: the same each time that the same fire is tried. */
  id: string;
}

/** What became of a time at which a schedule was due: `missed` was called neither then nor later. */
export type ScheduleEnd = 'fired' | 'late' | 'missed';

export interface FiringOptions {
  /** A connection whose commands outlast an absence of Redis. */
  redis: Redis;
  schedules: Schedules;
  /** Enqueues the call, with all that the same call over HTTP meets; one with an id that there is already does nothing. */
  call: (call: ScheduledCall) => Promise<void>;
  /** For those who count. */
  onDue?: (end: ScheduleEnd) => void;
  logger: Logger;
}

export interface Firing {
  close(): Promise<void>;
}

/**
 * Makes calls of the schedules that are due. Every gateway does, as admission and the registry are there; a fire is taken by
 * one of them. It is a BullMQ job, and the next one of its schedule is added when it is taken: what was missed while all was
 * down is one job, which is late. A gateway that dies with it leaves it to another, who makes the same invocation's id of it.
 */
export function startFiring({ redis, schedules, call, onDue, logger }: FiringOptions): Firing {
  const worker = new Worker<Fire>(scheduleQueueName, fire, {
    connection: redis,
    prefix: queuePrefix,
    settings: scheduleSettings,
    concurrency,
    lockDuration: lockDurationMs,
    stalledInterval: stalledIntervalMs,
    runRetryDelay: runRetryDelayMs,
  });
  const warn = (error: unknown) => logger.warn({ err: error }, 'schedules: background work failed');
  worker.on('error', warn);

  async function fire(job: Job<Fire>): Promise<void> {
    const { tenant, id, revision } = fireSchema.parse(job.data);
    const dueAtMs = Number(/:(\d+)$/.exec(job.id ?? '')?.[1]);
    const found = await schedules.store.get(tenant, id);
    if (found?.definition.enabled !== true || found.definition.revision !== revision) {
      // Of what was: whoever changed it died before BullMQ heard of it, or is about to say so.
      await schedules.apply(tenant, id, found?.definition);
      return;
    }
    const dueAt = new Date(dueAtMs).toISOString();
    const { last } = found.runs;
    if (last?.dueAt === dueAt && last.invocationId !== undefined) return;
    const invocationId = callId(found.definition, tenant, id, dueAtMs);
    const log = logger.child({ tenant, schedule: id, dueAt, invocationId });
    try {
      await call({ ...found.definition, tenant, id: invocationId });
    } catch (error) {
      const failure = error instanceof PlatformError ? error : undefined;
      const code = failure?.code ?? 'internal';
      const message = failure?.message ?? 'the gateway failed; its log says why';
      log.warn({ err: error }, 'a schedule was due and called nothing');
      await schedules.store.record(tenant, id, dueAtMs, { dueAt, error: { code, message } });
      // Who is refused for now comes again; what is wrong with the call itself stays wrong.
      const mayComeAgain = !failure || failure.details.retryAfterSeconds !== undefined;
      const isLast = job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
      if (!mayComeAgain || isLast) onDue?.('missed');
      if (mayComeAgain) throw error;
      return;
    }
    log.debug('a schedule was due');
    onDue?.(Date.now() - dueAtMs >= lateMs ? 'late' : 'fired');
    await schedules.store.record(tenant, id, dueAtMs, { dueAt, invocationId });
  }

  const closing = new AbortController();
  async function reconcileRegularly() {
    while (!closing.signal.aborted) {
      await schedules.reconcile().catch(warn);
      await delay(reconcileEveryMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }
  void reconcileRegularly();

  return {
    async close() {
      closing.abort();
      await worker.close();
    },
  };
}

function callId({ seed }: Definition, tenant: string, id: string, dueAtMs: number): string {
  const digest = createHmac('sha256', Buffer.from(seed, 'hex')).update(`${tenant}.${id}.${dueAtMs}`).digest();
  return invocationIdOf(digest.subarray(0, 16));
}
