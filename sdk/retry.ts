import { z } from 'zod';
import { OnceboxError } from './oncebox-error.ts';

const retryOptionsSchema = z.strictObject({
  /** Attempts after the first; 0: none. */
  count: z.number().int().min(0).max(100).default(3),
  /** From the first attempt to the beginning of the last one, milliseconds. */
  withinMs: z.number().min(0).max(3_600_000).default(30_000),
  /** The pause before the first of them, which doubles with each, milliseconds; a random part of it is left out. */
  backoffMs: z.number().min(1).max(60_000).default(250),
  backoffMaxMs: z.number().min(1).max(600_000).default(8_000),
});
export type RetryOptions = z.input<typeof retryOptionsSchema>;
export type RetryPolicy = z.output<typeof retryOptionsSchema>;

/** A number is that of the attempts after the first. Throws a ZodError that names what is out of range. */
export function retryPolicy(options: number | RetryOptions = {}): RetryPolicy {
  return retryOptionsSchema.parse(typeof options === 'number' ? { count: options } : options);
}

/**
 * Calls `attempt` until it resolves, its error is none that passes, or the policy is used up; then rejects with the last
 * error. `isSafe`: that it was called before does no harm, whatever became of that. Aborting ends a pause too.
 */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { policy, isSafe, signal }: { policy: RetryPolicy; isSafe: boolean; signal: AbortSignal | undefined },
): Promise<T> {
  const beganAtMs = performance.now();
  for (let made = 0; ; made++) {
    try {
      return await attempt();
    } catch (error) {
      if (made >= policy.count || signal?.aborted || !mayPass(error, isSafe)) throw error;
      const pauseMs = pauseBefore(made, policy, error);
      if (performance.now() - beganAtMs + pauseMs > policy.withinMs) throw error;
      await pause(pauseMs, signal);
    }
  }
}

/**
 * A 429 is a refusal: nothing was done. A 503, and what a proxy between says of a gateway that it cannot reach, need not
 * be; nor a connection that failed, which is what `fetch` rejects with.
 */
function mayPass(error: unknown, isSafe: boolean): boolean {
  if (!(error instanceof OnceboxError)) return isSafe;
  if (error.status === 429) return true;
  const isProxys = error.code === undefined && [502, 504].includes(error.status);
  return isSafe && (error.status === 503 || isProxys);
}

/** Never sooner than the platform asks for, and not all callers at once. */
function pauseBefore(made: number, { backoffMs, backoffMaxMs }: RetryPolicy, error: unknown): number {
  const fullMs = Math.min(backoffMaxMs, backoffMs * 2 ** made);
  const asked = error instanceof OnceboxError ? error.retryAfterMs : undefined;
  return asked === undefined ? fullMs * (0.5 + Math.random() / 2) : asked + (fullMs * Math.random()) / 2;
}

/** Rejects with the signal's reason when it is aborted. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** RFC 9110, 10.2.3: seconds, or a date. Undefined where it is neither. */
export function retryAfterMs(header: string | null): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // A date has the name of a month; much else is one to `Date.parse`.
  const atMs = /[A-Za-z]{3}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - Date.now());
}
