import { expect, test } from 'vitest';
import { seededRandom, weightedChoice, zipfWeights } from '../../loadtest/generators/random.ts';
import { burstSchedule, constantSchedule, poissonSchedule } from '../../loadtest/generators/schedules.ts';
import { createMix } from '../../loadtest/workloads/mix.ts';
import { echo } from './use-server.ts';

test('a seed gives the same arrivals every time, and another seed gives others', () => {
  const arrivals = (seed: number) => [...poissonSchedule(100, 10_000, seededRandom(seed))];
  expect(arrivals(7)).toEqual(arrivals(7));
  expect(arrivals(7)).not.toEqual(arrivals(8));
});

test('Poisson arrivals have the rate that was asked for, and gaps as independent callers leave', () => {
  const arrivals = [...poissonSchedule(200, 100_000, seededRandom(1))];
  expect(arrivals.length / 100).toBeGreaterThan(195);
  expect(arrivals.length / 100).toBeLessThan(205);
  const gaps = arrivals.slice(1).map((atMs, index) => atMs - (arrivals[index] as number));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  // Of an exponential distribution the two are the same.
  expect(deviation / mean).toBeCloseTo(1, 1);
});

test('constant arrivals are evenly spaced, and those of a burst are not spaced at all', () => {
  expect([...constantSchedule(4, 1_000)]).toEqual([0, 250, 500, 750]);
  expect([...burstSchedule(3)]).toEqual([0, 0, 0]);
});

test('by Zipf few of many are chosen most of the time', () => {
  const weights = zipfWeights(50, 1.5);
  const choose = weightedChoice(weights, seededRandom(3));
  const counts = new Array<number>(50).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const chosen = choose();
    counts[chosen] = (counts[chosen] ?? 0) + 1;
  }
  const hot = counts.slice(0, 5).reduce((sum, count) => sum + count, 0);
  expect(hot / 10_000).toBeGreaterThan(0.7);
  expect(counts.filter((count) => count > 0).length).toBeGreaterThan(40);
});

test('the mix sends the same calls for the same seed, to functions and to snippets, short and long', async () => {
  const functions = {
    empty: async (_runtime: string, name = '') => ({ ...echo, name }),
    heavy: async () => echo,
    remove: async () => {},
  };
  const mix = await createMix(functions, ['node', 'python'], 20);
  const names = (seed: number) =>
    [...mix.arrivals(100, 20_000, seededRandom(seed))].map(({ workload }) => workload.name);
  expect(names(5)).toEqual(names(5));
  const found = new Set(names(5));
  for (const name of ['hot function', 'rare function', 'node', 'python', 'bash', 'node, waits 250 ms'])
    expect(found).toContain(name);
  const hot = names(5).filter((name) => name === 'hot function').length;
  const rare = names(5).filter((name) => name === 'rare function').length;
  expect(hot).toBeGreaterThan(rare);
});
