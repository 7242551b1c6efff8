import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { makeRoom } from './make-room.ts';

/** Of Redis' memory, what is kept for taking jobs and writing down how they ended. */
const reserve = 1 / 8;
/** A text is in the job's hash, in the append-only buffers and on its way. */
const copies = 2;
const readEveryMs = 500;
const roundsMax = 40;

export interface RedisRoom {
  /** Throws PlatformError `unavailable` when so many bytes do not fit, though old records were dropped for them. */
  claim(bytes: number): Promise<void>;
}

/**
 * Keeps a full Redis from standing still: a job that is taken or finished needs some memory too, and only what is
 * finished gives some back. So a part of `maxmemory` is never given to new jobs. Without a `maxmemory` all fits.
 */
export function createRedisRoom(redis: Redis, onError: (error: unknown) => void): RedisRoom {
  let limitBytes = Number.POSITIVE_INFINITY;
  let usedBytes = 0;
  let claimedSince = 0;
  let readAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  let clearing: Promise<void> | undefined;

  async function read() {
    const claimedBefore = claimedSince;
    const info = await redis.info('memory');
    usedBytes = Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0);
    const max = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
    limitBytes = max === 0 ? Number.POSITIVE_INFINITY : max * (1 - reserve);
    claimedSince -= claimedBefore;
    readAtMs = performance.now();
  }

  function readOnce(): Promise<void> {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  const fits = (bytes: number) => usedBytes + copies * (claimedSince + bytes) <= limitBytes;

  /** One for all who wait, so that no more records go than needed. */
  function clear(bytes: number): Promise<void> {
    clearing ??= dropRecords(bytes).finally(() => {
      clearing = undefined;
    });
    return clearing;
  }

  async function dropRecords(bytes: number) {
    await readOnce();
    for (let round = 0; round < roundsMax && !fits(bytes); round++) {
      if ((await makeRoom(redis)) === 0) return;
      await readOnce();
    }
  }

  return {
    async claim(bytes) {
      if (!fits(bytes)) await clear(bytes);
      if (!fits(bytes)) {
        throw new PlatformError('unavailable', 'cannot enqueue: the memory of Redis is used up', {
          retryAfterSeconds: 1,
        });
      }
      claimedSince += bytes;
      // After the claim and not before it, so that none waits for the answer.
      if (performance.now() - readAtMs > readEveryMs) readOnce().catch(onError);
    },
  };
}
