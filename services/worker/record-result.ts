import { setTimeout as delay } from 'node:timers/promises';
import { retakeLock } from '../queue/job-locks.ts';
import type { Redis } from '../shared/redis.ts';

const retryFirstMs = 50;
const retryMaxMs = 1_000;

/**
 * Writes the record. BullMQ itself would try once, and drop the result when Redis refuses it: a full disk or an outage
 * would make `lost` of programs that ended well. Here it is tried until Redis takes it, for the job is ours as long as we
 * live. Undefined when others have given the invocation up meanwhile: then they say how it ended, and we do not.
 */
export async function recordResult<Next>(
  redis: Redis,
  { id, token, lockMs, write }: ResultToRecord<Next>,
  onRefused: (error: unknown) => void,
): Promise<Recorded<Next> | undefined> {
  for (let waitMs = retryFirstMs; ; waitMs = Math.min(waitMs * 2, retryMaxMs)) {
    try {
      return { next: await write() };
    } catch (error) {
      onRefused(error);
    }
    try {
      // It may have been carried out, and only the reply been lost.
      const standing = await retakeLock(redis, id, token, lockMs);
      if (standing !== 'ours') return standing === 'recorded' ? {} : undefined;
    } catch (error) {
      // We closed it ourselves: there is nobody to tell any more.
      if (redis.status === 'end') throw error;
      onRefused(error);
    }
    await delay(waitMs);
  }
}

export interface ResultToRecord<Next> {
  /** The invocation's. */
  id: string;
  token: string;
  /** How long a lock holds, milliseconds. */
  lockMs: number;
  /** Tries once. What it resolves with is the next job, if it took one. */
  write(): Promise<Next>;
}

export interface Recorded<Next> {
  next?: Next;
}
