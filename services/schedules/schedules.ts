import { randomBytes, randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import { z } from 'zod';
import type { ParsedScheduleRequest, Schedule } from '../../sdk/contract/schedule.ts';
import { scheduleEventMaxBytes } from '../../sdk/contract/schedule.ts';
import { queuePrefix } from '../queue/job.ts';
import type { RedisRoom } from '../queue/redis-room.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import type { WithinQuota } from '../tenants/storage-ledger.ts';
import { nextRunMs, requireTiming } from './next-run.ts';
import { createScheduleStore, type Definition, type Runs, type ScheduleStore } from './schedule-store.ts';

export const scheduleQueueName = 'schedules';
/** For the Queue and the Worker, both of which say when a cron expression is due next. */
export const scheduleSettings = {
  repeatStrategy: (afterMs: number, { pattern = '', tz }: { pattern?: string; tz?: string }) =>
    nextRunMs(pattern, tz, afterMs),
};

/** What a fire says. */
export const fireSchema = z.object({ tenant: z.string(), id: z.string(), revision: z.string() });
export type Fire = z.infer<typeof fireSchema>;

/** A queue that is full for a moment refuses the call: it is tried again for about half a minute. */
const attempts = 6;
const retryFirstMs = 1_000;
/** So long after it was due a fire that nobody has is taken for lost. */
const overdueMs = 60_000;

/** A tenant's schedules. What is not there is a PlatformError `schedule_not_found`. */
export interface Schedules {
  /**
   * Makes it or puts it in the place of what was. Throws PlatformError `invalid_request` for a timing that there is not,
   * `schedule_limit_reached`, `quota_exceeded`, and `unavailable` if the memory of Redis does not hold it.
   */
  put(
    tenant: string,
    id: string,
    request: ParsedScheduleRequest,
  ): Promise<{ schedule: Schedule; created: boolean }>;
  get(tenant: string, id: string): Promise<Schedule>;
  /** Sorted by id. */
  list(tenant: string): Promise<Schedule[]>;
  delete(tenant: string, id: string): Promise<void>;
  /** What is known of a schedule, for whoever fires it. */
  readonly store: ScheduleStore;
  /** Makes BullMQ's scheduler what the definition says; undefined: there is to be none. */
  apply(tenant: string, id: string, definition: Definition | undefined): Promise<void>;
  /** Applies what a process that died between two steps has left behind. */
  reconcile(): Promise<void>;
  close(): Promise<void>;
}

export function createSchedules(
  redis: Redis,
  room: RedisRoom,
  withinQuota: WithinQuota = (_tenant, _what, _bytes, store) => store(),
): Schedules {
  const store = createScheduleStore(redis);
  const queue = new Queue<Fire>(scheduleQueueName, {
    connection: redis,
    prefix: queuePrefix,
    settings: scheduleSettings,
    streams: { events: { maxLen: 10 } },
  });
  // It repeats the errors of our connection, which has a listener of its own.
  queue.on('error', () => {});
  const repeatKey = queue.toKey('repeat');

  async function nextRuns(tenant: string, ids: readonly string[]): Promise<(number | undefined)[]> {
    if (ids.length === 0) return [];
    const scores = await redis.zmscore(repeatKey, ...ids.map((id) => schedulerId(tenant, id)));
    return scores.map((score) => (score === null ? undefined : Number(score)));
  }

  async function apply(tenant: string, id: string, definition: Definition | undefined) {
    const key = schedulerId(tenant, id);
    if (!definition?.enabled) {
      await queue.removeJobScheduler(key);
      return;
    }
    const { cron, everyMs, timeZone, revision } = definition;
    const repeat =
      cron === undefined
        ? // Else the first would be due at once, and again with each change.
          { every: everyMs ?? 0, startDate: Date.now() + (everyMs ?? 0) }
        : { pattern: cron, tz: timeZone ?? 'UTC' };
    await queue.upsertJobScheduler(key, repeat, {
      name: 'fire',
      data: { tenant, id, revision },
      opts: {
        attempts,
        backoff: { type: 'exponential', delay: retryFirstMs, jitter: 0.5 },
        removeOnComplete: true,
        removeOnFail: true,
      },
    });
  }

  /** Whether BullMQ has what the definition says, and will fire it. */
  async function isApplied(tenant: string, id: string, definition: Definition): Promise<boolean> {
    const key = schedulerId(tenant, id);
    const scheduler = await queue.getJobScheduler(key);
    if (!scheduler) return !definition.enabled;
    if (!definition.enabled || scheduler.template?.data?.revision !== definition.revision) return false;
    const next = scheduler.next ?? 0;
    return next > Date.now() - overdueMs || (await queue.getJob(`repeat:${key}:${next}`)) !== undefined;
  }

  async function known(tenant: string, id: string): Promise<Schedule> {
    const found = await store.get(tenant, id);
    if (!found) throw notFound(id);
    return scheduleOf(id, found.definition, found.runs, (await nextRuns(tenant, [id]))[0]);
  }

  return {
    store,
    apply,
    async put(tenant, id, request) {
      requireTiming(request);
      const eventJson = JSON.stringify(request.event ?? null);
      const bytes = Buffer.byteLength(eventJson);
      if (bytes > scheduleEventMaxBytes) {
        throw new PlatformError(
          'invalid_request',
          `event: has ${bytes} bytes as JSON, more than ${scheduleEventMaxBytes}`,
          { field: 'event' },
        );
      }
      await room.claimToKeep(bytes, 'keep a schedule');
      const { cron, everyMs, timeZone, enabled, priority } = request;
      let definition: Definition | undefined;
      const make = (was: Definition | undefined): Definition => {
        const now = new Date().toISOString();
        definition = {
          function: request.function,
          ...(cron !== undefined && { cron }),
          ...(everyMs !== undefined && { everyMs }),
          ...(timeZone !== undefined && { timeZone }),
          eventJson,
          enabled,
          priority,
          createdAt: was?.createdAt ?? now,
          updatedAt: now,
          revision: randomUUID(),
          seed: was?.seed ?? randomBytes(16).toString('hex'),
        };
        return definition;
      };
      const definitionBytes = Buffer.byteLength(JSON.stringify(make(undefined)));
      const { created } = await withinQuota(tenant, `schedule:${id}`, definitionBytes, () =>
        store.put(tenant, id, make),
      );
      await apply(tenant, id, definition);
      return { schedule: await known(tenant, id), created };
    },
    get: known,
    async list(tenant) {
      const found = await store.list(tenant);
      const next = await nextRuns(
        tenant,
        found.map(({ id }) => id),
      );
      return found.map(({ id, definition, runs }, at) => scheduleOf(id, definition, runs, next[at]));
    },
    async delete(tenant, id) {
      // The definition first: without it a fire that comes meanwhile calls nothing, and takes the scheduler away.
      if (!(await store.delete(tenant, id))) throw notFound(id);
      await apply(tenant, id, undefined);
    },
    async reconcile() {
      for (const tenant of await store.tenants()) {
        for (const { id, definition } of await store.list(tenant)) {
          if (!(await isApplied(tenant, id, definition))) await apply(tenant, id, definition);
        }
      }
    },
    close: () => queue.close(),
  };
}

/** Neither has a point. BullMQ's own names have colons. */
function schedulerId(tenant: string, id: string): string {
  return `${tenant}.${id}`;
}

function scheduleOf(id: string, definition: Definition, runs: Runs, nextMs: number | undefined): Schedule {
  const { eventJson, revision: _revision, seed: _seed, ...shown } = definition;
  return {
    id,
    ...shown,
    event: JSON.parse(eventJson),
    nextRunAt: definition.enabled && nextMs !== undefined ? new Date(nextMs).toISOString() : null,
    runs: runs.count,
    ...(runs.last && { lastRun: runs.last }),
  };
}

function notFound(id: string): PlatformError {
  return new PlatformError('schedule_not_found', `there is no schedule "${id}"`);
}
