import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { makeRoom } from './make-room.ts';

/** Of Redis' memory, what is kept for taking jobs and writing down how they ended. */
const reserve = 1 / 8;
/** And of what is kept long after its run: it gives nothing back soon, and invocations need room beside it. */
const reserveOfKept = 1 / 4;
/** A text is in the job's hash, in the append-only buffers and on its way. */
const copies = 2;
const readEveryMs = 500;
/** What is as large waits for the numbers of now. */
const largeBytes = 256 * 1024;
const roundsMax = 40;

export interface RedisRoom {
  /** Throws PlatformError `unavailable` when so many bytes do not fit, though old records were dropped for them. */
  claim(bytes: number): Promise<void>;
  /** As `claim`, and more is left free: for code layers and archives. `task` is what the error says cannot be done. */
  claimToKeep(bytes: number, task: string): Promise<void>;
}

/**
 * Keeps a full Redis from standing still: a job that is taken or finished needs some memory too, and only what is
 * finished gives some back. So a part of `maxmemory` is never given to new jobs. Without a `maxmemory` all fits.
 */
export function createRedisRoom(redis: Redis, onError: (error: unknown) => void): RedisRoom {
  let maxBytes = Number.POSITIVE_INFINITY;
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
    maxBytes = max === 0 ? Number.POSITIVE_INFINITY : max;
    claimedSince -= claimedBefore;
    readAtMs = performance.now();
  }

  function readOnce(): Promise<void> {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  const fits = (bytes: number, free: number) =>
    usedBytes + copies * (claimedSince + bytes) <= maxBytes * (1 - free);

  /** One for all who wait, so that no more records go than needed. */
  function clear(bytes: number, free: number): Promise<void> {
    clearing ??= dropRecords(bytes, free).finally(() => {
      clearing = undefined;
    });
    return clearing;
  }

  async function dropRecords(bytes: number, free: number) {
    await readOnce();
    // For what never fits no record goes.
    if (copies * bytes > maxBytes * (1 - free)) return;
    for (let round = 0; round < roundsMax && !fits(bytes, free); round++) {
      if ((await makeRoom(redis)) === 0) return;
      await readOnce();
    }
  }

  const isOld = () => performance.now() - readAtMs > readEveryMs;

  async function claim(bytes: number, free: number, task: string) {
    if (bytes >= largeBytes && isOld()) await readOnce();
    // What others have cleared may not be enough for us.
    if (!fits(bytes, free)) await clearing;
    if (!fits(bytes, free)) await clear(bytes, free);
    if (!fits(bytes, free)) throw redisUsedUp(task);
    claimedSince += bytes;
    // After the claim and not before it, so that none waits for the answer.
    if (isOld()) readOnce().catch(onError);
  }

  return {
    claim: (bytes) => claim(bytes, reserve, 'enqueue'),
    claimToKeep: (bytes, task) => claim(bytes, reserveOfKept, task),
  };
}

/** What there is to say when Redis has no memory for `task`. */
export function redisUsedUp(task: string, cause?: unknown): PlatformError {
  return new PlatformError('unavailable', `cannot ${task}: the memory of Redis is used up`, {
    retryAfterSeconds: 1,
    cause,
  });
}
