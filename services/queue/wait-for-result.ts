import { setTimeout as delay } from 'node:timers/promises';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { Idempotency } from './idempotency.ts';
import { recordGone, resultPending } from './refusals.ts';
import type { ResultChannel, ResultChannelOptions } from './result-channel.ts';

export interface WaitOptions {
  timeoutMs: number;
  /** The caller has gone. */
  signal?: AbortSignal;
  onStreaming?: () => void;
  added?: (acceptedId: string) => void;
  idempotency?: Idempotency | undefined;
}

interface WaitDeps {
  results: Pick<ResultChannel, 'expect'>;
  readEnded: ResultChannelOptions['readEnded'];
  onError: (error: unknown) => void;
}

/** What is done with the invocation itself. */
interface Awaited {
  /** Resolves with the id of what is waited for: another one where the idempotency key stands for that. */
  add(): Promise<string>;
  cancel(): Promise<unknown>;
}

/** Makes of adding an invocation the wait for its end; InvocationQueue says what `enqueueAndWait` throws, and what options are for. */
export function createResultWait({ results, readEnded, onError }: WaitDeps) {
  return async function addAndWait(
    id: string,
    { add, cancel }: Awaited,
    { timeoutMs, signal, onStreaming, added, idempotency }: WaitOptions,
  ): Promise<Invocation> {
    const expected = results.expect(id, onStreaming);
    const timeout = deadline(timeoutMs);
    const abort = () => void cancel().catch(onError);
    try {
      const addedId = await add();
      added?.(addedId);
      if (addedId !== id) return await waitForKnown(addedId, { passed: timeout.passed, signal, readEnded });
      expected.added();
      // Only now: before the job is added there is nothing to cancel.
      if (idempotency === undefined && signal?.aborted) abort();
      else if (idempotency === undefined) signal?.addEventListener('abort', abort, { once: true });
      const arrived = await Promise.race([expected.arrived, timeout.passed]);
      if (arrived) return arrived;
      // That Redis does not answer now says nothing of the invocation.
      const [[, ended] = []] = await readEnded([id]).catch(() => []);
      if (ended) return ended;
      throw resultPending(id, timeoutMs);
    } finally {
      signal?.removeEventListener('abort', abort);
      timeout.clear();
      expected.forget();
    }
  };
}

/** How often the record is looked at of what another request waits for already. */
const lookFirstMs = 25;
const lookMaxMs = 500;

interface KnownWait {
  /** It has been waited for long enough. */
  passed: Promise<undefined>;
  signal: AbortSignal | undefined;
  readEnded: WaitDeps['readEnded'];
}

/** Another gateway may be the one that is told, so its record is looked at, as long as there is a caller to tell. */
async function waitForKnown(id: string, { passed, signal, readEnded }: KnownWait): Promise<Invocation> {
  const sinceMs = performance.now();
  const timedOut = passed.then(() => true);
  for (let pauseMs = lookFirstMs; ; pauseMs = Math.min(2 * pauseMs, lookMaxMs)) {
    for (const [, ended] of await readEnded([id])) {
      if (ended) return ended;
      throw recordGone(id);
    }
    const left = delay(pauseMs, false, { signal }).catch(() => true);
    if (await Promise.race([timedOut, left]))
      throw resultPending(id, Math.round(performance.now() - sinceMs));
  }
}

function deadline(ms: number): { passed: Promise<undefined>; clear: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  return { passed, clear: () => clearTimeout(timer) };
}
