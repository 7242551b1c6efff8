/** Milliseconds of each of `count` runs, one after another. */
export async function serialLatency(count: number, work: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < count; i++) {
    const startedAt = performance.now();
    await work();
    samples.push(performance.now() - startedAt);
  }
  return samples;
}

/**
 * Runs a second of `work` with `inFlight` under way, until `maxCount` have been started or `maxMs` are over. When one
 * fails no more are started, and that is rejected with once the others have settled.
 */
export async function rateWithin(
  bounds: { inFlight: number; maxCount: number; maxMs: number },
  work: () => Promise<unknown>,
): Promise<number> {
  const startedAt = performance.now();
  let started = 0;
  let hasFailed = false;
  async function worker() {
    while (!hasFailed && started < bounds.maxCount && performance.now() - startedAt < bounds.maxMs) {
      started++;
      try {
        await work();
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  }
  const settled = await Promise.allSettled(Array.from({ length: bounds.inFlight }, worker));
  for (const result of settled) if (result.status === 'rejected') throw result.reason;
  return (started * 1000) / (performance.now() - startedAt);
}
