import { describe, expect, test } from 'vitest';
import { compareReports, renderComparisonHtml } from '../../../loadtest/report/compare.ts';
import { compare } from '../../../loadtest/report/comparison.ts';
import { changeOfPercentile, changeOfRate } from '../../../loadtest/report/noise.ts';
import type { Report } from '../../../loadtest/report/schema.ts';
import { logNormal, makeReport, makeSeries, sequence } from './make-report.ts';

const load = (medianMs: number, count: number, seed: number) =>
  makeSeries('warm node', 'node', logNormal(sequence(seed), medianMs, count));

describe('a change', () => {
  test('between samples of one distribution is noise, nearly always', () => {
    const seeds = Array.from({ length: 200 }, (_, seed) => seed + 1);
    const counted = seeds.filter(
      (seed) => !changeOfPercentile(load(5, 400, seed), load(5, 400, seed + 1000), 'p50').isNoise,
    );
    expect(counted.length).toBeLessThanOrEqual(4);
  });

  test('of a fifth of the median counts with enough samples, and is noise with few', () => {
    expect(changeOfPercentile(load(5, 1000, 1), load(6, 1000, 2), 'p50')).toMatchObject({ isNoise: false });
    expect(changeOfPercentile(load(5, 5, 1), load(6, 5, 2), 'p50')).toMatchObject({ isNoise: true });
  });

  test('of a rate counts when both its size and the number of answers are large enough', () => {
    const at = (ratePerSecond: number, count: number) => ({ ...load(5, count, 1), ratePerSecond });
    expect(changeOfRate(at(100, 1000), at(80, 1000)).isNoise).toBe(false);
    expect(changeOfRate(at(100, 20), at(80, 20)).isNoise).toBe(true);
    expect(changeOfRate(at(100, 100_000), at(97, 100_000)).isNoise).toBe(true);
  });

  test('from a load without an answer is no change that counts', () => {
    const failed = makeSeries('warm node', 'node', []);
    expect(changeOfPercentile(failed, load(5, 100, 1), 'p50').isNoise).toBe(true);
  });
});

describe('a comparison', () => {
  test('pairs loads by name and concurrency, and names those that only one report has', () => {
    const [a, b] = [makeReport(), makeReport()];
    b.series = b.series.filter(({ name }) => name !== 'fork node');
    const { loads, onlyA, onlyB } = compare(a, b);
    expect(loads).toHaveLength(b.series.length);
    expect(
      loads.every((pair) => pair.a.name === pair.b.name && pair.a.concurrency === pair.b.concurrency),
    ).toBe(true);
    expect([onlyA, onlyB]).toEqual([['fork node, 1 at once'], []]);
    expect(compareReports(a, b)).toContain('Only in the first: fork node, 1 at once.');
  });

  test('of a report with itself finds nothing', () => {
    const { machine, loads, ratios } = compare(makeReport(), makeReport());
    expect(machine).toEqual([]);
    expect(loads.flatMap(({ p50, p99, rate }) => [p50, p99, rate]).every(({ isNoise }) => isNoise)).toBe(
      true,
    );
    expect(ratios.every(({ value }) => value.isNoise)).toBe(true);
  });

  test('with a machine that is slower throughout says so, and finds the same code beneath', () => {
    const [a, b] = [makeReport(), makeReport(1.3)];
    const { floorFactor, loads } = compare(a, b);
    expect(floorFactor).toBeCloseTo(1.3, 6);
    for (const { p50, p50ToFloors } of loads) {
      expect(p50.change).toBeCloseTo(0.3, 6);
      expect(p50ToFloors).toMatchObject({ isNoise: true });
    }
    expect(compareReports(a, b)).toContain('The floors are 30 % slower in the second report');
  });

  test('with slower code on the same machine finds it relative to the floors, too', () => {
    const [a, slow] = [makeReport(), makeReport(1.3)];
    const b: Report = { ...slow, floors: a.floors };
    for (const { p50, p50ToFloors } of compare(a, b).loads) {
      expect(p50.isNoise).toBe(false);
      expect(p50ToFloors).toMatchObject({ isNoise: false });
    }
  });

  test('says when the machines differ, and when no floor tells how quick they are', () => {
    const [a, b] = [makeReport(), makeReport()];
    b.machine = { ...b.machine, cores: 64, kernel: '7.0.1' };
    b.floors = [];
    const text = compareReports(a, b);
    expect(text).toContain('The machines differ (processor, kernel)');
    expect(text).toContain('No floor is in both reports');
  });

  test('fits into 120 columns', () => {
    const lines = compareReports(makeReport(), makeReport(1.3)).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
  });
});

describe('the page of a comparison', () => {
  test('lays the distributions of each pair over each other', () => {
    const [a, b] = [makeReport(), makeReport(1.3)];
    expect(renderComparisonHtml(a, b).match(/<svg/g)).toHaveLength(a.series.length);
  });

  test('escapes what the reports say, and refers to nothing outside of itself', () => {
    const [a, b] = [makeReport(), makeReport()];
    const name = '<img src=x onerror=alert(1)>';
    for (const report of [a, b]) {
      report.series = [makeSeries(name, name, [1, 2, 3])];
      report.machine = { ...report.machine, revision: `${name}${report === a}` };
    }
    const page = renderComparisonHtml(a, b);
    expect(page).not.toMatch(/<(img|script|link)/i);
    expect(page).toContain('&lt;img');
    expect(page).toContain("default-src 'none'");
  });
});
