import { PlatformError } from '../shared/platform-error.ts';
import type { Idempotency } from './idempotency.ts';
import { isRedisFull } from './make-room.ts';

/*
 * What a gateway answers when the queue does not do what it was asked.
 */

/** What the key stands for. Throws `idempotency_mismatch` where that was another request. */
export function knownId([id = '', digest]: string[], idempotency: Idempotency): string {
  if (digest === idempotency.digest) return id;
  throw new PlatformError(
    'idempotency_mismatch',
    'this idempotency key was used for another request: take a new key, or send what was sent',
    { field: 'idempotency-key', invocationId: id },
  );
}

export function recordGone(id: string): PlatformError {
  const message = 'this idempotency key stands for an invocation whose record is gone';
  return new PlatformError('invocation_not_found', message, { invocationId: id });
}

export function resultPending(id: string, timeoutMs: number): PlatformError {
  return new PlatformError('result_pending', `no result after ${timeoutMs} ms; the invocation goes on`, {
    invocationId: id,
  });
}

export function capped(name: string | undefined, concurrency: number): PlatformError {
  return new PlatformError(
    'concurrency_exceeded',
    `as many invocations of "${name}" run as its settings allow: ${concurrency}`,
    { retryAfterSeconds: 1 },
  );
}

export function queueFull(waiting: number): PlatformError {
  return new PlatformError('queue_full', `cannot enqueue: ${waiting} invocations are waiting`, {
    retryAfterSeconds: 1,
  });
}

export function heldFull(name: string | undefined, waiting: number): PlatformError {
  const message = `cannot enqueue: ${waiting} invocations of "${name}" wait, as its settings cap its concurrency`;
  return new PlatformError('queue_full', message, { retryAfterSeconds: 1 });
}

/** The error of a Redis that says that it did not do what it was asked. */
export function refusal(error: unknown): PlatformError | undefined {
  if (error instanceof PlatformError) return error;
  const why = isRedisFull(error)
    ? 'the memory of Redis is used up'
    : /\bMISCONF\b/.test(String(error))
      ? 'Redis cannot write to its disk'
      : undefined;
  return why === undefined
    ? undefined
    : new PlatformError('unavailable', `cannot enqueue: ${why}`, { retryAfterSeconds: 1, cause: error });
}

/** The connection went, or the answer did not come: a job may be there or not. */
export function uncertain(id: string, error: unknown): PlatformError {
  return new PlatformError(
    'unavailable',
    'Redis went away while the invocation was being enqueued: if it has a record, it runs',
    { invocationId: id, retryAfterSeconds: 1, cause: error },
  );
}
