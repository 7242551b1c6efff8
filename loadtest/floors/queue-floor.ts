import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'bullmq';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { createInvocationQueue } from '../../services/queue/invocation-queue.ts';
import { type InvocationJob, invocationQueueName, queuePrefix } from '../../services/queue/job.ts';
import { publishResult } from '../../services/queue/result-channel.ts';
import type { Config } from '../../services/shared/config.ts';
import { connectRedis } from '../../services/shared/redis.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { redisChild } from '../../services/up/children.ts';
import { Supervised } from '../../services/up/supervised.ts';
import type { Floor } from '../report/schema.ts';
import { spreadOf } from '../report/statistics.ts';
import { rateWithin, serialLatency } from './timing.ts';

const warmUpCount = 50;
const inFlight = 16;
const rateMaxMs = 20_000;

interface QueueOptions {
  config: Config;
  /** For Redis's socket and data. */
  directory: string;
  serialCount: number;
  rateCount: number;
  signal: AbortSignal;
}

/**
 * The gateway's own queue and a worker that does nothing, in one process: add, take, complete, publish. On a Redis
 * of its own with the embedded one's settings, for the platform's workers would take the jobs.
 */
export async function measureQueue(options: QueueOptions): Promise<Floor> {
  const { config, directory, signal } = options;
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
      { connection: workerRedis, prefix: queuePrefix, concurrency: inFlight },
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
      signal.throwIfAborted();
      const id = newInvocationId();
      const finished = await queue.enqueueAndWait(id, emptyRequest(), { timeoutMs: 10_000 });
      if (finished.id !== id) throw new Error(`cannot measure the queue: sent ${id}, got ${finished.id}`);
    }
    for (let i = 0; i < warmUpCount; i++) await roundTrip();
    const samples = await serialLatency(options.serialCount, roundTrip);
    return {
      name: 'BullMQ round trip',
      latencyMs: spreadOf(samples),
      ratePerSecond: await rateWithin({ inFlight, maxCount: options.rateCount, maxMs: rateMaxMs }, roundTrip),
      concurrency: inFlight,
    };
  } finally {
    await undo.run();
  }
}

function emptyRequest(): Omit<InvocationJob, 'replyTo'> {
  const files = [{ path: 'index.js', content: '', encoding: 'utf8' as const }];
  return {
    tenant: 'default',
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
