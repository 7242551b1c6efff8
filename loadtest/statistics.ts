export interface Spread {
  count: number;
  p50: number;
  p99: number;
}

/** Nearest-rank percentiles; NaN without samples. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}

/** Runs `work` `count` times with `inFlight` at once; resolves with the rate a second. */
export async function rateOf(count: number, inFlight: number, work: () => Promise<void>): Promise<number> {
  let started = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (started++ < count) await work();
    }),
  );
  return (count * 1000) / (performance.now() - startedAt);
}

/** Least squares over points (x, y): how much y grows with x; NaN for fewer than two. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (of: 0 | 1) => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return covariance / variance;
}
