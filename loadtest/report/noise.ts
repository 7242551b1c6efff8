import type { Series } from './schema.ts';

/** Smaller changes say nothing, however many samples: the same code differs by so much from run to run. */
const changeMin = 0.05;
/** Standard errors to each side, for 95 %. */
const sidesFor95 = 1.96;

/** In sentences, for readers of a comparison. */
export const noiseRule = [
  'A change counts when it is more than 5 % and the 95 % intervals of the two percentiles do not overlap.',
  'The intervals are by order statistics, from the distributions; no shape of them is assumed.',
  'A rate counts when it changed by more than 5 % and by more than 1.96 standard errors of its count.',
  'Samples of one run share its luck: repeat both before you believe a small change.',
];

/** A figure of two runs. */
export interface Change {
  before: number;
  after: number;
  /** after / before − 1 */
  change: number;
  isNoise: boolean;
}

/** Of a percentile, such as p99 with `share` 0.99. */
export function changeOfPercentile(a: Series, b: Series, percentile: 'p50' | 'p99'): Change {
  const share = percentile === 'p50' ? 0.5 : 0.99;
  const [lowA, highA] = intervalOf(a, share);
  const [lowB, highB] = intervalOf(b, share);
  const overlaps = !(highA < lowB || highB < lowA);
  return changeOf(a.latencyMs[percentile], b.latencyMs[percentile], overlaps);
}

/** Of the rate of right answers, which are taken to come independently of each other. */
export function changeOfRate(a: Series, b: Series): Change {
  const [answersA, answersB] = [a.latencyMs.count, b.latencyMs.count];
  const error = Math.sqrt(1 / answersA + 1 / answersB);
  const { ratePerSecond: before } = a;
  const { ratePerSecond: after } = b;
  return changeOf(before, after, Math.abs(after / before - 1) <= sidesFor95 * error);
}

/** Of a figure of which nothing is known but itself. */
export function changeOf(before: number, after: number, isWithinNoise = false): Change {
  const change = after / before - 1;
  return { before, after, change, isNoise: isWithinNoise || !(Math.abs(change) > changeMin) };
}

/**
 * The 95 % interval of a percentile: how many of n samples lie below it is binomial, so its ranks are those at
 * n·share ± 1.96·√(n·share·(1 − share)), whatever the distribution.
 */
function intervalOf({ latencyCdf, latencyMs }: Series, share: number): [low: number, high: number] {
  const margin = sidesFor95 * Math.sqrt((share * (1 - share)) / Math.max(1, latencyMs.count));
  const at = (wanted: number) =>
    (latencyCdf.find(([, reached]) => reached >= wanted) ?? latencyCdf.at(-1))?.[0] ?? Number.NaN;
  return [at(share - margin), at(share + margin)];
}
