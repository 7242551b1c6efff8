import { setTimeout as delay } from 'node:timers/promises';
import type { OnSample, Workload } from '../workloads/workload.ts';
import { createSender } from './send.ts';

export interface PacedLoopOptions {
  url: string;
  workload: Workload;
  amount: number;
  /** From an answer to the next request, milliseconds. */
  pauseMs: number;
  onSample: OnSample;
  signal: AbortSignal;
}

/** One caller who pauses between calls, so that each finds the platform at rest. Resolves with the seconds it took. */
export async function pacedLoop(options: PacedLoopOptions): Promise<number> {
  const { workload, amount, pauseMs, onSample, signal } = options;
  const sender = createSender(options.url, 1);
  const startedAt = performance.now();
  try {
    for (let sent = 0; sent < amount; sent++) {
      const sentAt = performance.now();
      const answer = await sender.send(workload);
      onSample({ workload, atMs: sentAt - startedAt, latencyMs: performance.now() - sentAt, answer });
      await delay(pauseMs, undefined, { signal });
    }
    return (performance.now() - startedAt) / 1000;
  } finally {
    await sender.close();
  }
}
