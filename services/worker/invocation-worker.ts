import { type Job, WaitingError, Worker } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { type InvocationJob, invocationQueueName, queuePrefix } from '../queue/job.ts';
import { lostInvocation } from '../queue/record.ts';
import { publishResult } from '../queue/result-channel.ts';
import type { Redis } from '../shared/redis.ts';
import { type InvocationDeps, NotStartedError, processInvocation } from './process-invocation.ts';

/** A worker that dies is noticed within lockDuration + stalledInterval. */
const lockDurationMs = 10_000;
const stalledIntervalMs = 5_000;

export interface InvocationWorkerOptions {
  redis: Redis;
  concurrency: number;
  deps: InvocationDeps;
  /** For tests of what happens to a dead worker's jobs. */
  stalled?: { lockDurationMs: number; intervalMs: number };
}

/** Takes invocations from the queue once `run()` is called. */
export function createInvocationWorker(options: InvocationWorkerOptions): Worker<InvocationJob, Invocation> {
  const { redis, concurrency, deps } = options;
  const worker = new Worker<InvocationJob, Invocation>(
    invocationQueueName,
    (job, token) => processJob(job, token, deps),
    {
      connection: redis,
      prefix: queuePrefix,
      autorun: false,
      concurrency,
      // A job whose worker died may have run already, so it fails instead of running again.
      maxStalledCount: 0,
      lockDuration: options.stalled?.lockDurationMs ?? lockDurationMs,
      stalledInterval: options.stalled?.intervalMs ?? stalledIntervalMs,
    },
  );
  const publish = (job: Job<InvocationJob>, invocation: Invocation) => {
    // The type is what gateways promise; a malformed job may have none.
    const replyTo: unknown = job.data?.replyTo;
    if (typeof replyTo !== 'string') return;
    publishResult(redis, replyTo, invocation).catch((error: unknown) =>
      deps.logger.warn({ err: error, invocationId: invocation.id }, 'cannot publish a result'),
    );
  };
  // Only now, when the record is written: whoever is woken by the reply and reads the record finds it finished.
  // That costs the reply one round trip to Redis, 0.2 ms on a socket.
  worker.on('completed', (job, invocation) => publish(job, invocation));
  worker.on('failed', (job, error) => {
    deps.logger.error({ err: error, invocationId: job?.id }, 'invocation lost');
    if (job?.id !== undefined) publish(job, lostInvocation(job.id, job.data, error.message));
  });
  worker.on('error', (error) => deps.logger.warn({ err: error }, 'queue connection failed'));
  return worker;
}

async function processJob(
  job: Job<InvocationJob>,
  token: string | undefined,
  deps: InvocationDeps,
): Promise<Invocation> {
  try {
    const id = job.id ?? '';
    return await processInvocation({ id, data: job.data, enqueuedAt: job.timestamp }, deps);
  } catch (error) {
    if (!(error instanceof NotStartedError)) throw error;
    await job.moveToWait(token);
    throw new WaitingError();
  }
}
