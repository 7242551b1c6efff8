import { setTimeout as delay } from 'node:timers/promises';
import type { Job } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationJob } from '../queue/job.ts';
import { retakeLock } from '../queue/job-locks.ts';
import type { Redis } from '../shared/redis.ts';

const retryFirstMs = 50;
const retryMaxMs = 1_000;

/**
 * Writes the record. BullMQ itself would try once, and drop the result when Redis refuses it: a full disk or an outage
 * would make `lost` of programs that ended well. Here it is tried until Redis takes it, for the job is ours as long as we
 * live. False when others have given the invocation up meanwhile: then they say how it ended, and we do not.
 */
export async function recordResult(
  redis: Redis,
  { job, token, invocation, lockMs }: ResultToRecord,
  onRefused: (error: unknown) => void,
): Promise<boolean> {
  for (let waitMs = retryFirstMs; ; waitMs = Math.min(waitMs * 2, retryMaxMs)) {
    try {
      await job.moveToCompleted(invocation, token, false);
      return true;
    } catch (error) {
      onRefused(error);
    }
    try {
      // It may have been carried out, and only the reply been lost.
      const standing = await retakeLock(redis, invocation.id, token, lockMs);
      if (standing !== 'ours') return standing === 'recorded';
    } catch (error) {
      // We closed it ourselves: there is nobody to tell any more.
      if (redis.status === 'end') throw error;
      onRefused(error);
    }
    await delay(waitMs);
  }
}

export interface ResultToRecord {
  job: Job<InvocationJob>;
  token: string;
  invocation: Invocation;
  /** How long a lock holds, milliseconds. */
  lockMs: number;
}
