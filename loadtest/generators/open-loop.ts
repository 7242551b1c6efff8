import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { OnSample, Workload } from '../workloads/workload.ts';
import { createSender } from './send.ts';

/** A request that is due within this is sent at once: a timer has whole milliseconds and would be later than that. */
const earlyMs = 0.5;
/** Requests that are due together are sent in groups, between which answers are read. */
const groupSize = 16;

export interface Arrival {
  atMs: number;
  workload: Workload;
}

export interface OpenLoopOptions {
  url: string;
  /** By time. */
  arrivals: Iterable<Arrival>;
  /** Requests under way at once; what comes beyond waits for one of them to end, and its latency counts that. */
  maxInFlight: number;
  onSample: OnSample;
  signal: AbortSignal;
}

export interface OpenLoopResult {
  /** From the beginning until the last answer. */
  seconds: number;
  requests: number;
  peakInFlight: number;
  /** Requests that had to wait because `maxInFlight` were under way. */
  heldBack: number;
  /** How late the generator itself sent requests that were not held back, milliseconds. */
  latenessMs: number[];
}

/**
 * Sends requests when they are due, however long others take, and measures each from the moment it was due. So a
 * platform that stands still for a second is charged with all the requests that callers would have sent in that second
 * (no coordinated omission), and with the generator's own lateness.
 */
export async function openLoop(options: OpenLoopOptions): Promise<OpenLoopResult> {
  const { arrivals, maxInFlight, onSample, signal } = options;
  const sender = createSender(options.url, maxInFlight);
  const latenessMs: number[] = [];
  const waiting: Arrival[] = [];
  let [inFlight, peakInFlight, requests, heldBack] = [0, 0, 0, 0];
  let onIdle = () => {};
  const startedAt = performance.now();

  function send({ atMs, workload }: Arrival): void {
    inFlight += 1;
    peakInFlight = Math.max(peakInFlight, inFlight);
    // Sent a little early, it is not charged with less than what it took.
    const fromMs = Math.min(atMs, performance.now() - startedAt);
    void sender.send(workload).then((answer) => {
      const latencyMs = performance.now() - startedAt - fromMs;
      inFlight -= 1;
      onSample({ workload, atMs, latencyMs, answer });
      const next = waiting.shift();
      if (next) send(next);
      else if (inFlight === 0) onIdle();
    });
  }

  try {
    for (const arrival of arrivals) {
      await due(startedAt + arrival.atMs, requests, signal);
      requests += 1;
      if (inFlight >= maxInFlight) {
        heldBack += 1;
        waiting.push(arrival);
      } else {
        latenessMs.push(Math.max(0, performance.now() - startedAt - arrival.atMs));
        send(arrival);
      }
    }
    if (inFlight > 0) await untilIdle((resolve) => (onIdle = resolve), signal);
    const seconds = (performance.now() - startedAt) / 1000;
    return { seconds, requests, peakInFlight, heldBack, latenessMs };
  } finally {
    waiting.length = 0;
    await sender.close();
  }
}

async function due(atMs: number, index: number, signal: AbortSignal): Promise<void> {
  const leftMs = atMs - performance.now();
  if (leftMs > earlyMs) await delay(Math.max(1, Math.round(leftMs - earlyMs)), undefined, { signal });
  else if (index % groupSize === 0) await nextTurn();
  signal.throwIfAborted();
}

async function untilIdle(wait: (resolve: () => void) => void, signal: AbortSignal): Promise<void> {
  let onAbort = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      wait(resolve);
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
