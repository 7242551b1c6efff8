import { z } from 'zod';
import { type Invocation, invocationSchema } from '../../sdk/contract/invocation.ts';
import { defaultPriority } from '../../sdk/contract/invocation-options.ts';
import type { InvocationJob } from './job.ts';

type Described = Pick<
  InvocationJob,
  'function' | 'image' | 'imageDigest' | 'language' | 'priority' | 'redriveOf'
>;

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

/** A record on Redis, or a worker's message: an older release may have written it, without the fields added since. */
export const storedInvocationSchema = z.preprocess(completed, invocationSchema);

const usedNothing = {
  ...{ cpuMs: 0, cpuUserMs: 0, cpuSystemMs: 0, throttledMs: 0, wallMs: 0 },
  ...{ memoryPeakBytes: 0, writtenBytes: 0 },
};
const tookNoTime = {
  ...{ receiveMs: 0, queueMs: 0, admitMs: 0, prepareMs: 0, leaseMs: 0 },
  ...{ startMs: 0, runMs: 0 },
};

function completed(stored: unknown): unknown {
  if (!isObject(stored)) return stored;
  const { usage, timings, outcome } = stored;
  return {
    ...stored,
    ...(isObject(usage) && { usage: { ...usedNothing, ...usage } }),
    ...(isObject(timings) && { timings: { ...tookNoTime, ...timings } }),
    ...(isObject(outcome) && { outcome: { ...reachedCap(outcome), ...outcome } }),
  };
}

/** Who was stopped at a cap had used that much at least. */
function reachedCap({ status, ms, memoryMaxBytes, max }: Record<string, unknown>) {
  if (status === 'timeout') return { usedMs: ms };
  if (status === 'oom_killed') return { memoryPeakBytes: memoryMaxBytes };
  return status === 'limit_exceeded' ? { peak: max } : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function emptyInvocation(id: string, job: Described): Omit<Invocation, 'status'> {
  return {
    id,
    ...(job.function && { function: job.function }),
    ...imageOf(job),
    ...(job.language && { language: job.language }),
    priority: job.priority ?? defaultPriority,
    ...(job.redriveOf !== undefined && { redriveOf: job.redriveOf }),
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
