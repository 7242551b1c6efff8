import { setTimeout as delay } from 'node:timers/promises';
import { DelayedError, ErrorCode, type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { ZodError } from 'zod';
import { queuePrefix } from '../queue/job.ts';
import type { Logger } from '../shared/logger.ts';
import type { Redis } from '../shared/redis.ts';
import { type Callbacks, callbackQueueName, type Delivery, deliverySchema } from './callbacks.ts';
import { AddressRefusedError, type Poster } from './post.ts';
import type { CallbackSecrets } from './secrets.ts';
import { signatureOf } from './signature.ts';
import { createTurns } from './turns.ts';

/** Deliveries that one gateway is at, at once, and those of one tenant: its receivers may all be slow. */
const concurrency = 128;
const concurrencyOfTenant = 32;
/** Longer than a delivery takes; so long a gateway that died keeps another from it. */
const lockDurationMs = 15_000;
const stalledIntervalMs = 5_000;
/** BullMQ would wait 15 s after an error of Redis. */
const runRetryDelayMs = 500;
/** How long deliveries under way may go on once the gateway is asked to stop. */
const drainMs = 1_500;

export interface DeliveringOptions {
  /** A connection whose commands outlast an absence of Redis. */
  redis: Redis;
  callbacks: Callbacks;
  secrets: CallbackSecrets;
  poster: Poster;
  /** For those who count. */
  onSettled?: (status: 'delivered' | 'failed') => void;
  /** For tests of turns that nobody calls: in place of the minutes of `createTurns`. */
  uncalledMs?: number;
  logger: Logger;
}

export interface Delivering {
  close(): Promise<void>;
}

/**
 * Sends callbacks. Every gateway does; a delivery is taken by one of them. It is delivered when the answer's status is 2xx. A
 * gateway that dies between the answer and the note of it leaves a delivery that is sent again, with the same
 * `Oncebox-Delivery`.
 */
export function startDelivering(options: DeliveringOptions): Delivering {
  const { redis, callbacks, secrets, poster, logger, onSettled } = options;
  const closing = new AbortController();
  const underWay = new Map<string, number>();
  const warn = (error: unknown) => logger.warn({ err: error }, 'callbacks: background work failed');

  async function process(job: Job<Delivery>, token?: string): Promise<void> {
    try {
      await attempt(job, token);
    } catch (error) {
      const isOver = isFinal(error) || job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
      // Whatever it was that failed, also what is ours: nothing comes after this, so nothing else would say so.
      if (!isPutOff(error) && isOver) {
        await callbacks.settle(idOf(job), { status: 'failed', error: reasonOf(error) });
        onSettled?.('failed');
      }
      throw error;
    }
  }

  async function attempt(job: Job<Delivery>, token?: string): Promise<void> {
    const delivery = deliverySchema.parse(job.data);
    const { tenant } = delivery;
    const others = underWay.get(tenant) ?? 0;
    if (others >= concurrencyOfTenant) {
      await hold(job, tenant, token);
      throw new DelayedError();
    }
    underWay.set(tenant, others + 1);
    try {
      if (await callbacks.begin(delivery.id)) await deliver(job, delivery, token);
    } finally {
      const left = (underWay.get(tenant) ?? 1) - 1;
      if (left > 0) underWay.set(tenant, left);
      else underWay.delete(tenant);
      await turns.next(tenant).catch(warn);
    }
  }

  async function hold(job: Job<Delivery>, tenant: string, token?: string): Promise<void> {
    await job.moveToDelayed(turns.until(), token);
    // It is delayed: what fails from here on is no fault of the delivery.
    await turns.hold(tenant, job.id ?? '', job.timestamp).catch(warn);
    // Who would have called it may have been over before.
    if ((underWay.get(tenant) ?? 0) < concurrencyOfTenant) await turns.next(tenant).catch(warn);
  }

  async function deliver(job: Job<Delivery>, delivery: Delivery, token?: string): Promise<void> {
    const { id, tenant } = delivery;
    const { status, failure } = await send(delivery);
    if (status !== undefined && status >= 200 && status <= 299) {
      // First of all: from here on it is not sent again.
      await callbacks.settle(id, { status: 'delivered', lastStatus: status });
      onSettled?.('delivered');
      return;
    }
    if (closing.signal.aborted) {
      await job.moveToWait(token);
      throw new WaitingError();
    }
    const isRefused = errorsOf(failure).some((one) => one instanceof AddressRefusedError);
    const error = status === undefined ? reasonOf(failure) : `the answer was ${status}`;
    await callbacks.attempted(id, { ...(status !== undefined && { status }), error });
    logger.debug({ err: failure, status, invocationId: id, tenant }, 'callback not delivered');
    throw isRefused ? new UnrecoverableError(error) : new Error(error);
  }

  async function send({ id, tenant, url, body }: Delivery): Promise<{ status?: number; failure?: unknown }> {
    try {
      const headers = {
        'content-type': 'application/json',
        'user-agent': 'oncebox',
        'oncebox-delivery': `cb-${id}`,
        'oncebox-invocation-id': id,
        'oncebox-signature': signatureOf(body, await secrets.signing(tenant), Date.now()),
      };
      return { status: await poster.post({ url, headers, body, signal: closing.signal }) };
    } catch (failure) {
      return { failure };
    }
  }

  const worker = new Worker<Delivery>(callbackQueueName, process, {
    connection: redis,
    prefix: queuePrefix,
    concurrency,
    lockDuration: lockDurationMs,
    stalledInterval: stalledIntervalMs,
    // Not a fault of the delivery, if gateways die.
    maxStalledCount: 100,
    runRetryDelay: runRetryDelayMs,
  });
  worker.on('error', warn);
  const turns = createTurns(
    redis,
    (jobId) =>
      worker.backend.promote(jobId).then(
        () => true,
        (error: { code?: number }) => {
          if (error.code === ErrorCode.JobNotInState) return false;
          throw error;
        },
      ),
    options.uncalledMs,
  );

  return {
    async close() {
      const closed = worker.close();
      await Promise.race([closed, delay(drainMs, undefined, { ref: false })]);
      closing.abort();
      await closed;
    },
  };
}

/** It goes on, here or elsewhere: no attempt has come to nothing. */
function isPutOff(error: unknown): boolean {
  return error instanceof DelayedError || error instanceof WaitingError;
}

/** Another attempt would find the same. */
function isFinal(error: unknown): boolean {
  return error instanceof UnrecoverableError || error instanceof ZodError;
}

/** Also of a job whose data is none. */
function idOf(job: Job<Delivery>): string {
  return (job.id ?? '').replace(/^cb-/, '');
}

/** A connection that fails to each of several addresses has an error for each. */
function errorsOf(error: unknown): unknown[] {
  return error instanceof AggregateError
    ? [error, ...error.errors]
    : [error, (error as Error | undefined)?.cause];
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no whole answer within 10 seconds';
  const { code } = error as NodeJS.ErrnoException;
  return (error.message || code || error.name).slice(0, 500);
}
