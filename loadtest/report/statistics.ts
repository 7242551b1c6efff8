import type { Spread } from './schema.ts';

const cdfPointsMax = 200;

/** Percentiles by nearest rank, so that each is a value that was measured; NaN without samples. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = ascending(samples);
  const at = (share: number) => sorted[rankOf(share, sorted.length)] ?? Number.NaN;
  return {
    count: sorted.length,
    min: sorted[0] ?? Number.NaN,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    p999: at(0.999),
    max: sorted.at(-1) ?? Number.NaN,
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
  };
}

/**
 * The cumulative distribution, as at most 200 pairs [value, share of the samples that are as small or smaller]. Half of
 * the points are spread evenly and half lie ever closer towards 1, for the tail is what one looks for.
 */
export function cdfOf(samples: readonly number[]): [value: number, share: number][] {
  const sorted = ascending(samples);
  const { length } = sorted;
  const ranks = length <= cdfPointsMax ? sorted.keys() : pickedRanks(length);
  return [...ranks].map((rank) => [sorted[rank] as number, (rank + 1) / length]);
}

/** A line through points by least squares. */
export interface Line {
  slope: number;
  /** y at x = 0. */
  intercept: number;
  /** Of the slope; 0 for two points, through which every line goes. */
  standardError: number;
  /** Share of the variance of y that the line explains, 0 to 1. */
  r2: number;
}

/** All NaN where no line is determined: fewer than two different x. */
export function lineOf(points: readonly (readonly [x: number, y: number])[]): Line {
  const { length } = points;
  const mean = (of: 0 | 1) => points.reduce((sum, point) => sum + point[of], 0) / length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const sumOf = (term: (dx: number, dy: number) => number) =>
    points.reduce((sum, [x, y]) => sum + term(x - meanX, y - meanY), 0);
  const [varianceX, varianceY] = [sumOf((dx) => dx * dx), sumOf((_, dy) => dy * dy)];
  const slope = varianceX > 0 ? sumOf((dx, dy) => dx * dy) / varianceX : Number.NaN;
  const unexplained = sumOf((dx, dy) => (dy - slope * dx) ** 2);
  return {
    slope,
    intercept: meanY - slope * meanX,
    standardError: length > 2 ? Math.sqrt(unexplained / (length - 2) / varianceX) : slope * 0,
    r2: varianceY > 0 ? 1 - unexplained / varianceY : slope * 0 + 1,
  };
}

/** How much y grows with x, by least squares; NaN where no line is determined. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  return lineOf(points).slope;
}

function ascending(samples: readonly number[]): Float64Array {
  return Float64Array.from(samples).sort();
}

/** Nearest rank, from 0. Rounded first: 0.999 × 1,000 is a little more than 999 in binary. */
function rankOf(share: number, length: number): number {
  return Math.max(0, Math.ceil(Number((share * length).toFixed(6))) - 1);
}

function pickedRanks(length: number): number[] {
  const half = cdfPointsMax / 2;
  const ranks = new Set<number>();
  for (let i = 0; i < half; i++) {
    ranks.add(rankOf(i / half, length));
    // From 0.9 up to the last sample but one, in equal steps of the logarithm of what is left.
    ranks.add(rankOf(1 - 0.1 * (10 / length) ** (i / (half - 1)), length));
  }
  // In place of the pick for 0: the smallest has rank 0 anyway.
  ranks.add(length - 1);
  return [...ranks].sort((a, b) => a - b);
}
