import { type Dispatcher, Pool } from 'undici';
import type { Reply, Workload } from '../workloads/workload.ts';

/** Longer than an invocation may wait in the queue and run; the gateway gives up first. */
const timeoutMs = 90_000;

export interface Sender {
  /** Resolves with the answer when its last byte is there, and never rejects. */
  send(workload: Workload): Promise<{ reply: Reply } | { error: string }>;
  close(): Promise<void>;
}

/** Connections that are kept alive, at most `connections`, each with one request at a time. */
export function createSender(url: string, connections: number): Sender {
  const { origin, pathname } = new URL(url);
  const base = pathname.replace(/\/$/, '');
  const pool = new Pool(origin, {
    connections,
    pipelining: 1,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    keepAliveTimeout: 30_000,
  });
  return {
    send: ({ request: { path, headers, body } }) =>
      new Promise((resolve) => {
        pool.dispatch({ path: base + path, method: 'POST', headers, body }, collect(resolve));
      }),
    // Not `close`: an interrupted load has requests under way that nobody waits for.
    close: () => pool.destroy(),
  };
}

function collect(
  resolve: (answer: { reply: Reply } | { error: string }) => void,
): Dispatcher.DispatchHandler {
  let status = 0;
  let headers: Record<string, string> = {};
  const chunks: Buffer[] = [];
  return {
    // undici takes a handler for one of its older interface without this.
    onRequestStart() {},
    onResponseStart(_controller, statusCode, incoming) {
      status = statusCode;
      headers = incoming as Record<string, string>;
    },
    onResponseData(_controller, chunk) {
      chunks.push(chunk);
    },
    onResponseEnd() {
      resolve({ reply: { status, headers, body: Buffer.concat(chunks).toString() } });
    },
    onResponseError(_controller, error) {
      resolve({ error: error.message || (error as NodeJS.ErrnoException).code || error.name });
    },
  };
}
