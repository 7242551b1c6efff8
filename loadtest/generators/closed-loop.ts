import autocannon from 'autocannon';
import type { OnSample, Reply, Workload } from '../workloads/workload.ts';

/** Seconds; longer than an invocation may wait in the queue and run. */
const timeoutSeconds = 90;

export interface ClosedLoopOptions {
  url: string;
  workload: Workload;
  /** Callers, each with a connection and a next request as soon as it has its answer. */
  concurrency: number;
  /** Requests together; at least `concurrency`. */
  amount: number;
  onSample: OnSample;
  signal: AbortSignal;
}

/** A number of callers who wait for their answers: says what throughput is reached. Resolves with the seconds it took. */
export function closedLoop(options: ClosedLoopOptions): Promise<number> {
  const { url, workload, concurrency, amount, onSample, signal } = options;
  const { path, headers, body } = workload.request;
  signal.throwIfAborted();
  const startedAt = performance.now();
  let lastAt = startedAt;
  let answered = 0;
  return new Promise((resolve, reject) => {
    const run = autocannon(
      {
        url: `${url.replace(/\/$/, '')}${path}`,
        method: 'POST',
        headers,
        body,
        connections: concurrency,
        amount,
        timeout: timeoutSeconds,
        // How soon after the last answer it ends, milliseconds.
        sampleInt: 20,
        setupClient(client) {
          collectReplies(client, (reply, latencyMs) => {
            lastAt = performance.now();
            answered += 1;
            // Its histogram has whole milliseconds; the times themselves are finer.
            const atMs = lastAt - startedAt - latencyMs;
            onSample({ workload, atMs, latencyMs, answer: { reply } });
          });
        },
      },
      (error, { errors, timeouts }) => {
        signal.removeEventListener('abort', stop);
        if (error) return reject(error);
        if (signal.aborted) return reject(signal.reason);
        for (let missing = answered; missing < amount; missing++) {
          const text =
            timeouts > 0 ? `no answer in ${timeoutSeconds} s` : `no answer (${errors} socket errors)`;
          onSample({ workload, atMs: 0, latencyMs: Number.NaN, answer: { error: text } });
        }
        resolve((lastAt - startedAt) / 1000);
      },
    );
    const stop = () => run.stop();
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** Kept as they come. The types know neither the headers' event nor that a body comes in pieces. */
function collectReplies(client: autocannon.Client, onReply: (reply: Reply, latencyMs: number) => void): void {
  let rawHeaders: string[] = [];
  let chunks: Buffer[] = [];
  client.on('headers', (received) => {
    rawHeaders = (received as unknown as { headers: string[] }).headers;
    chunks = [];
  });
  client.on('body', (chunk) => void chunks.push(chunk));
  client.on('response', (status, _bytes, latencyMs) => {
    onReply({ status, headers: headersOf(rawHeaders), body: Buffer.concat(chunks).toString() }, latencyMs);
  });
}

/** Names and values in turn. */
function headersOf(raw: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = 0; at + 1 < raw.length; at += 2) headers[`${raw[at]}`.toLowerCase()] = `${raw[at + 1]}`;
  return headers;
}
