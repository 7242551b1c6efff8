import type { Idempotency } from '../queue/idempotency.ts';
import type { InvocationQueue } from '../queue/invocation-queue.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { TenantBook } from './tenant-book.ts';
import type { UsageLedger } from './usage-ledger.ts';

/** When to ask again whose invocations are too many: one may end at any moment. */
const retryAfterSeconds = 1;

/**
 * The queue, which refuses what is beyond the tenant's quotas of concurrency and CPU time with `quota_exceeded`. Who has
 * neither costs nothing.
 */
export function limitByTenant<Queue extends InvocationQueue>(
  queue: Queue,
  { book, ledger, onError }: { book: TenantBook; ledger: UsageLedger; onError: (error: unknown) => void },
): Queue {
  /** Resolves with what gives the place back, or undefined where none was taken. */
  async function claim(
    tenant: string,
    id: string,
    idempotency: Idempotency | undefined,
  ): Promise<(() => Promise<void>) | undefined> {
    const { concurrency, cpuSecondsPerDay } = book.quotasOf(tenant);
    if (concurrency === undefined && cpuSecondsPerDay === undefined) return undefined;
    const claimed = await ledger.claim(tenant, id, { concurrency, cpuSecondsPerDay });
    // What the key stands for has a place already.
    if (claimed.status !== 'ok' && idempotency && (await queue.knownTo(idempotency))) return undefined;
    if (claimed.status === 'concurrency') throw tooMany(claimed.count, concurrency ?? 0);
    if (claimed.status === 'cpu') throw cpuUsedUp(claimed.usedSeconds, cpuSecondsPerDay ?? 0);
    if (concurrency === undefined) return undefined;
    // What is not given back now is found to be over by who looks next.
    return () => ledger.release(tenant, id).catch(onError);
  }

  async function within<T>(
    tenant: string,
    id: string,
    idempotency: Idempotency | undefined,
    enqueue: () => Promise<T>,
    endsWithIt: boolean,
  ): Promise<T> {
    const giveBack = await claim(tenant, id, idempotency);
    try {
      const result = await enqueue();
      // Before the caller is told: who waits for one reply before he asks again needs no second place.
      if (endsWithIt) await giveBack?.();
      return result;
    } catch (error) {
      // With an id in the error the invocation goes on, or may do so.
      const goesOn = error instanceof PlatformError && error.details.invocationId !== undefined;
      if (!goesOn) await giveBack?.();
      throw error;
    }
  }

  return {
    ...queue,
    async enqueue(id, request, idempotency) {
      const enqueue = () => queue.enqueue(id, request, idempotency);
      const acceptedId = await within(request.tenant, id, idempotency, enqueue, false);
      // It is an earlier request's, which has a place of its own.
      if (acceptedId !== id) await ledger.release(request.tenant, id).catch(onError);
      return acceptedId;
    },
    enqueueAndWait: (id, request, options) =>
      within(request.tenant, id, options.idempotency, () => queue.enqueueAndWait(id, request, options), true),
    async cancel(id, tenant) {
      const record = await queue.cancel(id, tenant);
      if (record && tenant !== undefined && book.quotasOf(tenant).concurrency !== undefined)
        await ledger.settle(tenant, id).catch(onError);
      return record;
    },
  };
}

function tooMany(count: number, limit: number): PlatformError {
  return new PlatformError(
    'quota_exceeded',
    `${count} invocations of the tenant are not finished, and its quota is ${limit} at once`,
    {
      retryAfterSeconds,
      rateLimit: { name: 'concurrency', limit, remaining: 0, resetSeconds: retryAfterSeconds },
    },
  );
}

function cpuUsedUp(usedSeconds: number, limit: number): PlatformError {
  const dayMs = 86_400_000;
  const untilMidnight = Math.max(1, Math.ceil((dayMs - (Date.now() % dayMs)) / 1000));
  return new PlatformError(
    'quota_exceeded',
    `the tenant has used ${usedSeconds.toFixed(1)} s of CPU time today, and its quota is ${limit} s a day (UTC)`,
    {
      retryAfterSeconds: untilMidnight,
      rateLimit: {
        ...{ name: 'cpu-seconds', limit, remaining: 0 },
        ...{ resetSeconds: untilMidnight, windowSeconds: dayMs / 1000 },
      },
    },
  );
}
