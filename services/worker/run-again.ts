import type { FunctionSettings } from '../../sdk/contract/function-settings.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationJob } from '../queue/job.ts';

/** Starts that fail before the program is handed over are tried again so often, and first after this time. */
export const startRetriesMax = 3;
const startRetryFirstMs = 100;
const startRetryFactor = 4;

export function startRetryDelayMs(startsBefore: number): number {
  return startRetryFirstMs * startRetryFactor ** startsBefore;
}

/** Nobody waits for its result, and it has a function whose settings say what becomes of it. */
export function hasSettings(job: InvocationJob): job is InvocationJob & { function: { name: string } } {
  return job.isAwaited !== true && job.function !== undefined;
}

/** In how many milliseconds the invocation is to be run again after its `attempt`th run; undefined: that was the last. */
export function runAgainAfterMs(
  { outcome }: Invocation,
  attempt: number,
  { retry }: FunctionSettings,
): number | undefined {
  if (!retry || attempt >= retry.attempts) return undefined;
  if (!retry.on.some((status) => status === outcome?.status)) return undefined;
  return Math.min(retry.backoffMs * 2 ** (attempt - 1), retry.backoffMaxMs);
}
