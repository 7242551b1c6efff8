import { describe, expect, test } from 'vitest';
import { cdfOf, lineOf, slopeOf, spreadOf } from '../../../loadtest/report/statistics.ts';
import { logNormal, sequence } from './make-report.ts';

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('a spread', () => {
  test('has the nearest ranks, whatever the order of the samples', () => {
    expect(spreadOf(upTo(1000).reverse())).toEqual({
      count: 1000,
      min: 1,
      p50: 500,
      p90: 900,
      p99: 990,
      p999: 999,
      max: 1000,
      mean: 500.5,
    });
  });

  test('of few samples has the slowest of them as its high percentiles', () => {
    expect(spreadOf([3, 1, 2])).toMatchObject({ p50: 2, p90: 3, p99: 3, p999: 3 });
    expect(spreadOf([7])).toMatchObject({ min: 7, p50: 7, p999: 7, max: 7, mean: 7 });
  });

  test('of nothing is not a number', () => {
    expect(spreadOf([])).toMatchObject({ count: 0, min: Number.NaN, p50: Number.NaN, mean: Number.NaN });
  });

  test('leaves the samples as they were', () => {
    const samples = [3, 1, 2];
    spreadOf(samples);
    expect(samples).toEqual([3, 1, 2]);
  });
});

describe('a cumulative distribution', () => {
  test('of few samples has every one of them', () => {
    expect(cdfOf([30, 10, 20, 40])).toEqual([
      [10, 0.25],
      [20, 0.5],
      [30, 0.75],
      [40, 1],
    ]);
    expect(cdfOf([])).toEqual([]);
  });

  test.each([201, 5000, 100_000])(
    'of %i samples has at most 200 points, from the quickest to the slowest',
    (count) => {
      const samples = logNormal(sequence(3), 5, count);
      const cdf = cdfOf(samples);
      expect(cdf.length).toBeLessThanOrEqual(200);
      expect(cdf[0]?.[0]).toBe(Math.min(...samples));
      expect(cdf.at(-1)).toEqual([Math.max(...samples), 1]);
      for (const [at, [value, share]] of cdf.entries()) {
        expect(value).toBeGreaterThanOrEqual(cdf[at - 1]?.[0] ?? 0);
        expect(share).toBeGreaterThan(cdf[at - 1]?.[1] ?? 0);
      }
    },
  );

  test('tells of the tail more finely than of the middle', () => {
    const shares = cdfOf(upTo(100_000)).map(([, share]) => share);
    const within = (from: number, to: number) => shares.filter((share) => share > from && share <= to).length;
    expect(within(0.99, 1)).toBeGreaterThan(20 * within(0.5, 0.51));
    expect(within(0.999, 1)).toBeGreaterThan(20);
  });
});

describe('a line by least squares', () => {
  test('goes through points that lie on one', () => {
    const line = lineOf([1, 10, 50].map((x) => [x, 3 * x + 7]));
    expect(line.slope).toBeCloseTo(3, 9);
    expect(line.intercept).toBeCloseTo(7, 9);
    expect(line.standardError).toBeCloseTo(0, 9);
    expect(line.r2).toBeCloseTo(1, 9);
  });

  test('has the slope, error and R² of the first of Anscombe’s four', () => {
    const line = lineOf([
      [10, 8.04],
      [8, 6.95],
      [13, 7.58],
      [9, 8.81],
      [11, 8.33],
      [14, 9.96],
      [6, 7.24],
      [4, 4.26],
      [12, 10.84],
      [7, 4.82],
      [5, 5.68],
    ]);
    expect(line.slope).toBeCloseTo(0.5001, 4);
    expect(line.intercept).toBeCloseTo(3.0001, 4);
    expect(line.standardError).toBeCloseTo(0.1179, 4);
    expect(line.r2).toBeCloseTo(0.6665, 4);
  });

  test('is not there with fewer than two places', () => {
    expect(slopeOf([])).toBeNaN();
    expect(slopeOf([[1, 2]])).toBeNaN();
    expect(
      slopeOf([
        [1, 2],
        [1, 3],
      ]),
    ).toBeNaN();
  });
});
