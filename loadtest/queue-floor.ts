import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'bullmq';
import type { Invocation } from '../sdk/contract/invocation.ts';
import { defaultLimits } from '../sdk/contract/limits.ts';
import { newInvocationId } from '../services/queue/invocation-id.ts';
import { createInvocationQueue } from '../services/queue/invocation-queue.ts';
import { type InvocationJob, invocationQueueName, queuePrefix } from '../services/queue/job.ts';
import { publishResult } from '../services/queue/result-channel.ts';
import type { Config } from '../services/shared/config.ts';
import { connectRedis } from '../services/shared/redis.ts';
import { createUndoStack } from '../services/shared/shutdown.ts';
import { redisChild } from '../services/up/children.ts';
import { Supervised } from '../services/up/supervised.ts';
import { rateOf, type Spread, spreadOf } from './statistics.ts';

export interface QueueFloor {
  serialMs: Spread;
  /** With 16 in flight. */
  ratePerSecond: number;
}

/**
 * The gateway's own queue and a worker that does nothing, in one process: add, take, complete, publish. On a Redis
 * of its own with the embedded one's settings, for the platform's workers would take the jobs.
 */
export async function measureQueue(
  config: Config,
  directory: string,
  counts: { serial: number; rate: number },
): Promise<QueueFloor> {
  const undo = createUndoStack();
  const onError = (error: unknown) => console.error('queue floor:', error);
  try {
    const redisDir = join(directory, 'floor-redis');
    await mkdir(redisDir, { recursive: true });
    await chown(redisDir, config.ONCEBOX_SERVICE_ID, config.ONCEBOX_SERVICE_ID);
    const url = `unix://${encodeURI(join(redisDir, 'redis.sock'))}`;
    const server = new Supervised(
      redisChild({ ...config, redisDir }, url, { onLine: () => {}, onEvent: onError }),
    );
    undo.push(() => server.stop());
    await server.start();
    const [redis, subscriber, workerRedis] = [connectRedis(url), connectRedis(url), connectRedis(url)];
    undo.push(() => {
      for (const connection of [redis, subscriber, workerRedis]) connection.disconnect();
    });

    const worker = new Worker<InvocationJob, Invocation>(
      invocationQueueName,
      async (job) => emptyInvocation(job.id ?? ''),
      { connection: workerRedis, prefix: queuePrefix, concurrency: 16 },
    );
    worker.on('error', onError);
    worker.on('completed', (job, invocation) => {
      publishResult(workerRedis, job.data.replyTo, invocation).catch(onError);
    });
    undo.push(() => worker.close());
    const queue = await createInvocationQueue({
      redis,
      subscriber,
      queueMax: config.ONCEBOX_QUEUE_MAX,
      recordsKept: config.ONCEBOX_RECORDS_KEPT,
      recordsKeptMs: config.ONCEBOX_RECORDS_KEPT_MS,
      onError,
    });
    undo.push(() => queue.close());

    async function roundTrip() {
      const id = newInvocationId();
      const finished = await queue.enqueueAndWait(id, emptyRequest(), { timeoutMs: 10_000 });
      if (finished.id !== id) throw new Error(`cannot measure the queue: sent ${id}, got ${finished.id}`);
    }
    for (let i = 0; i < 50; i++) await roundTrip();
    const samples: number[] = [];
    for (let i = 0; i < counts.serial; i++) {
      const startedAt = performance.now();
      await roundTrip();
      samples.push(performance.now() - startedAt);
    }
    return { serialMs: spreadOf(samples), ratePerSecond: await rateOf(counts.rate, 16, roundTrip) };
  } finally {
    await undo.run();
  }
}

function emptyRequest(): Omit<InvocationJob, 'replyTo'> {
  const files = [{ path: 'index.js', content: '', encoding: 'utf8' as const }];
  return {
    runtime: 'node',
    program: { kind: 'snippet', files, entry: 'index.js', args: [], env: {} },
    stdin: '',
    limits: defaultLimits(),
  };
}

function emptyInvocation(id: string): Invocation {
  return {
    id,
    status: 'done',
    outcome: { status: 'ok' },
    stdout: '',
    stderr: '',
    stdoutTruncated: false,
    stderrTruncated: false,
  };
}
