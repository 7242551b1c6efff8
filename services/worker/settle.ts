import { setTimeout as delay } from 'node:timers/promises';
import { DelayedError, type Job } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { type DeadLetterBounds, keepDeadLetter, type StoredDeadLetter } from '../queue/dead-letters.ts';
import { type InvocationJob, invocationJobSchema, queueKey } from '../queue/job.ts';
import { isRedisFull, makeRoom } from '../queue/make-room.ts';
import { type PutOff, putOff } from '../queue/put-off.ts';
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
   * Throws BullMQ's DelayedError where the invocation runs again, or has been taken from us. One that does not, and did not
   * end ok, is kept as a dead letter: before its record, so that a worker killed in between leaves none out.
   */
  settle(job: Job<InvocationJob>, token: string, invocation: Invocation): Promise<void>;
  /** After a start that failed: throws DelayedError, or returns when that was often enough. */
  startLater(job: Job<InvocationJob>, token: string): Promise<void>;
}

export function createSettler({ redis, lockMs, deadLetters, onError }: SettlerOptions): Settler {
  /** As a result is recorded: again and again until Redis takes it. */
  async function hold(options: PutOff): Promise<void> {
    const { id, token } = options;
    const write = () => putOff(redis, options);
    const done = await recordResult(redis, { id, token, lockMs, write }, onError);
    if (done?.next !== false) throw new DelayedError();
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
      if (status === 'ok' || status === 'cancelled') return;
      const { data } = invocationJobSchema.safeParse(job.data);
      if (!data || !hasSettings(data)) return;
      const settings = await settingsOf(redis, data.tenant, data.function.name);
      const attempt = job.attemptsMade + 1;
      const delayMs = runAgainAfterMs(invocation, attempt, settings);
      const id = job.id ?? '';
      if (delayMs !== undefined)
        await hold({
          id,
          token,
          job: data,
          delayMs,
          counter: 'atm',
          most: (settings.retry?.attempts ?? 1) - 1,
        });
      if (settings.deadLetter === false) return;
      const letter = { job: data, invocation, diedAtMs: Date.now(), attempts: attempt };
      await keep(letter).catch(onError);
    },

    async startLater(job, token) {
      const { data } = invocationJobSchema.safeParse(job.data);
      if (!data) return;
      const id = job.id ?? '';
      const before = Number(await redis.hget(queueKey(id), 'starts'));
      const delayMs = startRetryDelayMs(before);
      await hold({ id, token, job: data, delayMs, counter: 'starts', most: startRetriesMax });
    },
  };
}
