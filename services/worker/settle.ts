import { setTimeout as delay } from 'node:timers/promises';
import { DelayedError, type Job } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { type DeadLetterBounds, keepDeadLetter, type StoredDeadLetter } from '../queue/dead-letters.ts';
import { type InvocationJob, invocationJobSchema, queueKey } from '../queue/job.ts';
import { isRedisFull, makeRoom } from '../queue/make-room.ts';
import { type NotAgain, type PutOff, putOff } from '../queue/put-off.ts';
import { settingsOf } from '../registry/settings.ts';
import type { Redis } from '../shared/redis.ts';
import { recordResult } from './record-result.ts';
import { hasSettings, runAgainAfterMs, startRetriesMax, startRetryDelayMs } from './run-again.ts';

/** So often room is made for a dead letter. */
const roundsMax = 20;
const roomPauseMs = 50;

export interface SettlerOptions {
  redis: Redis;
  /** How long a job's lock holds, milliseconds. */
  lockMs: number;
  deadLetters: DeadLetterBounds;
  onError: (error: unknown) => void;
}

/** Decides what comes after a run, before its record is written. */
export interface Settler {
  /**
   * Throws BullMQ's DelayedError where the invocation runs again, or has been taken from us. Else resolves with its record:
   * `cancelled` where it would run again, but for somebody who cancelled it. One that did not end ok otherwise is kept as a dead
   * letter: before its record, so that a worker killed in between leaves none out.
   */
  settle(job: Job<InvocationJob>, token: string, invocation: Invocation): Promise<Invocation>;
  /** After a start that failed: throws DelayedError, or resolves with why there is no other. */
  startLater(job: Job<InvocationJob>, token: string): Promise<NotAgain>;
}

export function createSettler({ redis, lockMs, deadLetters, onError }: SettlerOptions): Settler {
  /** As a result is recorded: again and again until Redis takes it. */
  async function hold(options: PutOff): Promise<NotAgain> {
    const { id, token } = options;
    const write = () => putOff(redis, options);
    const done = await recordResult(redis, { id, token, lockMs, write }, onError);
    if (done?.next === undefined || done.next === 'put_off') throw new DelayedError();
    return done.next;
  }

  /** When Redis is full, what is older gives way to it. */
  async function keep(letter: StoredDeadLetter): Promise<void> {
    for (let rounds = 1; ; rounds++) {
      try {
        return await keepDeadLetter(redis, letter, deadLetters);
      } catch (error) {
        if (!isRedisFull(error) || rounds > roundsMax) throw error;
        // Others may have made some, or be done with theirs in a moment.
        if ((await makeRoom(redis)) === 0) await delay(roomPauseMs);
      }
    }
  }

  return {
    async settle(job, token, invocation) {
      const status = invocation.outcome?.status;
      if (status === 'ok' || status === 'cancelled') return invocation;
      const { data } = invocationJobSchema.safeParse(job.data);
      if (!data || !hasSettings(data)) return invocation;
      const settings = await settingsOf(redis, data.tenant, data.function.name);
      const attempt = job.attemptsMade + 1;
      const delayMs = runAgainAfterMs(invocation, attempt, settings);
      const id = job.id ?? '';
      if (delayMs !== undefined) {
        const most = (settings.retry?.attempts ?? 1) - 1;
        const why = await hold({ id, token, job: data, delayMs, counter: 'atm', most });
        if (why === 'cancelled') return { ...invocation, status: 'done', outcome: { status: 'cancelled' } };
      }
      if (settings.deadLetter === false) return invocation;
      const letter = { job: data, invocation, diedAtMs: Date.now(), attempts: attempt };
      await keep(letter).catch(onError);
      return invocation;
    },

    async startLater(job, token) {
      const { data } = invocationJobSchema.safeParse(job.data);
      if (!data) return 'enough';
      const id = job.id ?? '';
      const before = Number(await redis.hget(queueKey(id), 'starts'));
      const delayMs = startRetryDelayMs(before);
      return hold({ id, token, job: data, delayMs, counter: 'starts', most: startRetriesMax });
    },
  };
}
