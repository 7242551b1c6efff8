import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationJob } from './job.ts';

type Described = Pick<InvocationJob, 'function' | 'image' | 'imageDigest'>;

/** The record of an invocation that has no result yet. */
export function unfinishedInvocation(id: string, job: Described, status: 'queued' | 'running'): Invocation {
  return { ...emptyInvocation(id, job), status };
}

/** The record of an invocation that was cancelled before a worker took it. */
export function cancelledInvocation(id: string, job: Described): Invocation {
  return { ...emptyInvocation(id, job), status: 'done', outcome: { status: 'cancelled' } };
}

/** The record of an invocation whose worker, zone or job we lost: our fault, and nobody knows how far it came. */
export function lostInvocation(id: string, job: Described, reason: string): Invocation {
  return { ...emptyInvocation(id, job), status: 'failed', outcome: { status: 'lost', reason } };
}

/** Why a job failed, in our words where BullMQ has only its own. */
export function lostReason(failedReason: string): string {
  return /^job stalled\b/.test(failedReason)
    ? 'its worker died, or was cut off from the queue'
    : failedReason;
}

function emptyInvocation(id: string, job: Described): Omit<Invocation, 'status'> {
  return {
    id,
    ...(job.function && { function: job.function }),
    ...imageOf(job),
    stdout: '',
    stderr: '',
    stdoutTruncated: false,
    stderrTruncated: false,
  };
}

/** What the record calls the image: a function's version is one by itself. */
export function imageOf(job: Described): Pick<Invocation, 'image'> {
  if (job.imageDigest !== undefined) return { image: { digest: job.imageDigest } };
  return job.image ? { image: job.image } : {};
}
