import { inputPieceMaxBytes, type SignalName } from './contract/input.ts';
import type { RunRequest } from './contract/run-request.ts';
import { type InvocationOptions, invocationRequest } from './invocation-headers.ts';
import { isOnceboxError } from './oncebox-error.ts';
import { pause } from './retry.ts';
import type { CallOptions, Send } from './send.ts';
import { eventsOf, type FollowedEvent } from './stream-client.ts';

export interface InteractiveOptions extends InvocationOptions {
  /** What the program reads behind `request.stdin`, sent as it comes; text as UTF-8. Without it there is no more. */
  stdin?: AsyncIterable<Uint8Array | string>;
}

/** A program that can be talked to while it runs. */
export interface InteractiveRun {
  id: string;
  /**
   * What it says, as it does. Who stops reading cancels it. Rejects, and cancels, where `stdin` rejects or cannot be
   * sent any more.
   */
  events: AsyncGenerator<FollowedEvent, void, void>;
  /** For its main process. Rejects with `input_refused` when it is over. */
  signal(name: SignalName, options?: CallOptions): Promise<void>;
}

export interface InteractiveClient {
  /** Resolves when it is enqueued. Its isolation has to be `native`. */
  runInteractive(request: RunRequest, options?: InteractiveOptions): Promise<InteractiveRun>;
}

export function createInteractiveClient(send: Send): InteractiveClient {
  return {
    async runInteractive(request, { stdin = nothing(), signal: caller, ...options } = {}) {
      const run = new AbortController();
      const abort = () => run.abort(caller?.reason);
      if (caller?.aborted) abort();
      caller?.addEventListener('abort', abort, { once: true });
      const response = await send('POST', '/v1/run', {
        ...invocationRequest({ ...options, signal: run.signal }),
        json: { ...request, interactive: true },
      }).catch((error: unknown) => {
        caller?.removeEventListener('abort', abort);
        throw error;
      });
      const id = response.headers.get('oncebox-invocation-id') ?? '';
      const path = `/v1/invocations/${encodeURIComponent(id)}`;
      const over = new AbortController();
      feed(send, `${path}/stdin`, stdin, over.signal).catch((error: unknown) => {
        if (!over.signal.aborted) run.abort(error);
      });

      async function* events() {
        try {
          yield* eventsOf(response);
        } finally {
          over.abort();
          caller?.removeEventListener('abort', abort);
        }
      }

      return {
        id,
        events: events(),
        signal: async (name, callOptions) =>
          void (await send('POST', `${path}/signal`, { ...callOptions, json: { signal: name } })),
      };
    },
  };
}

/** Sends it piece by piece, and its end. Resolves too when nobody takes it any more. */
async function feed(
  send: Send,
  path: string,
  stdin: AsyncIterable<Uint8Array | string>,
  signal: AbortSignal,
): Promise<void> {
  const iterator = stdin[Symbol.asyncIterator]();
  const over = new Promise<undefined>((resolve) =>
    signal.addEventListener('abort', () => resolve(undefined), { once: true }),
  );
  let number = 0;
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), over]);
      if (next === undefined) return;
      if (next.done) {
        await put(new Uint8Array());
        return;
      }
      const bytes = typeof next.value === 'string' ? new TextEncoder().encode(next.value) : next.value;
      for (let at = 0; at < bytes.length; at += inputPieceMaxBytes) {
        if (!(await put(bytes.subarray(at, at + inputPieceMaxBytes)))) return;
      }
    }
  } finally {
    // It may wait for what comes never.
    iterator.return?.().catch(() => {});
  }

  /** False: nobody takes it. */
  async function put(upload: Uint8Array): Promise<boolean> {
    number += 1;
    for (;;) {
      try {
        await send('PUT', `${path}/${number}`, { upload, signal });
        return true;
      } catch (error) {
        if (signal.aborted || isOnceboxError(error, 'input_refused')) return false;
        // The program reads slowly, or the tenant has asked for too much just now.
        if (!isOnceboxError(error) || error.status !== 429) throw error;
        await pause(error.retryAfterMs ?? 1_000, signal);
      }
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
