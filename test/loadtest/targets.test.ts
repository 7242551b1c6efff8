import { expect, test } from 'vitest';
import type { Series } from '../../loadtest/report/schema.ts';
import { spreadOf } from '../../loadtest/report/statistics.ts';
import { type Measured, ratiosOf } from '../../loadtest/targets.ts';

const MiB = 1024 * 1024;
const nothing: Measured = { floors: [], controls: [], series: [], density: [], timelines: [] };

function series(name: string, latencies: number[], more: Partial<Series> = {}): Series {
  return {
    ...{ name, scenario: name.split(' ')[0] ?? '', workload: 'node', generator: 'closed', concurrency: 1 },
    ...{ latencyMs: spreadOf(latencies), latencyCdf: [], ratePerSecond: 10, seconds: 1 },
    ...{ requests: latencies.length, failures: 0, failureSamples: [], starts: {}, phaseMs: {} },
    ...more,
  };
}

const ratioNamed = (measured: Measured, name: string) =>
  ratiosOf(measured).find((ratio) => ratio.name === name);

test('warm latency is judged by the queue that was measured in the same run', () => {
  const measured = {
    ...nothing,
    floors: [{ name: 'BullMQ round trip', latencyMs: spreadOf([2]) }],
    series: [series('warm node', [5, 5, 30])],
  };
  expect(ratioNamed(measured, "node, warm: p50 to the queue's")).toMatchObject({
    value: 2.5,
    target: { op: '<=', value: 3 },
    met: true,
  });
  expect(ratioNamed(measured, 'node, warm: p99 to p50')).toMatchObject({ value: 6, met: false });
});

test('what seccomp costs is said of bare sandboxes with it and without it', () => {
  const measured = {
    ...nothing,
    floors: [
      { name: 'sandbox node', latencyMs: spreadOf([6]), ratePerSecond: 150 },
      { name: 'sandbox node, no seccomp', latencyMs: spreadOf([5]), ratePerSecond: 200 },
    ],
  };
  expect(ratioNamed(measured, 'node: p50 with seccomp to without')?.value).toBeCloseTo(1.2);
  expect(ratioNamed(measured, 'node: rate with seccomp to without')?.value).toBe(0.75);
  expect(ratiosOf({ ...measured, floors: measured.floors.slice(0, 1) })).toEqual([]);
});

test('a load with a failed request meets no target', () => {
  const measured = { ...nothing, series: [series('warm node', [5], { failures: 1, requests: 2 })] };
  expect(ratioNamed(measured, 'node, warm: p99 to p50')).toMatchObject({ value: 1, met: false });
});

test('forks meet their target only when all of them were forks', () => {
  const forked = (starts: Record<string, number>) => ({
    ...nothing,
    series: [series('warm node', [4]), series('fork node', [6], { starts })],
  });
  const name = 'node, fork: p50 to warm';
  expect(ratioNamed(forked({ fork: 10 }), name)).toMatchObject({ value: 1.5, met: true });
  expect(ratioNamed(forked({ fork: 9, warm: 1 }), name)).toMatchObject({ value: 1.5, met: false });
});

test('throughput is judged by the bare sandbox and by docker, at 32 callers and at no other number', () => {
  const measured = (concurrency: number) => ({
    ...nothing,
    floors: [{ name: 'sandbox node', latencyMs: spreadOf([2]), ratePerSecond: 600 }],
    controls: [{ name: 'docker run --rm, node', version: '26', available: true, ratePerSecond: 5 }],
    series: [series('warm node, without pauses', [50], { concurrency, ratePerSecond: 420 })],
  });
  expect(ratiosOf(measured(16))).toEqual([]);
  expect(ratiosOf(measured(32))).toMatchObject([
    { name: "node, 32 at once: rate to the bare sandbox's", value: 0.7, met: true },
    { name: "node, 32 at once: rate to docker's", value: 84, met: true },
  ]);
});

const density = (bytesOf: (alive: number) => number, counts: number[], silent = 0) => ({
  ...nothing,
  density: [
    {
      workload: 'python',
      points: counts.map((alive) => ({
        ...{ alive, answering: alive - silent, perSandboxBytes: 0 },
        ...{ unavailableBytes: bytesOf(alive), cgroupBytes: 2 * MiB * alive },
      })),
      slopeBytes: 0,
    },
  ],
});

test('density is judged by its slope in MiB, and by how many answered', () => {
  const line = (alive: number) => 30 * MiB + alive * 1.2 * MiB;
  expect(ratiosOf(density(line, [1, 1000, 2000]))).toMatchObject([
    { value: expect.closeTo(1.2), target: { op: '<=', value: 1.5 }, met: true },
    { name: 'python: memory of one more, charged to cgroups', value: expect.closeTo(2) },
    { value: 2000, target: { op: '>=', value: 2000 }, met: true },
  ]);
  expect(ratiosOf(density(line, [1, 1000, 1500], 1)).at(-1)).toMatchObject({ value: 1499, met: false });
  // Nobody asked for more.
  expect(ratiosOf(density(line, [1, 10, 50]))).toHaveLength(2);
});

test('there is no verdict on a slope that is none', () => {
  const [slope] = ratiosOf(density((alive) => (alive % 3) * 100 * MiB, [1, 10, 50, 101]));
  expect(slope).not.toHaveProperty('met');
  expect(slope?.name).toContain('no straight line');
});

test('a soak is judged by its last tenth, its memory and what it left', () => {
  const points = (value: (at: number) => number) =>
    Array.from({ length: 100 }, (_, at): [number, number] => [at * 10, value(at)]);
  const measured = {
    ...nothing,
    series: [series('soak', [5])],
    timelines: [
      { name: 'soak, rate', unit: 'per second', points: points((at) => (at < 90 ? 50 : 40)) },
      { name: 'soak, memory of worker', unit: 'bytes', points: points((at) => 100 + at) },
    ],
    residue: { before: { mounts: 20 }, after: { mounts: 23, processes: 0 } },
  };
  expect(ratiosOf(measured)).toMatchObject([
    { name: 'soak: rate of the last tenth', value: 0.8, met: false },
    { name: 'soak, memory of worker, last tenth', met: false },
    { name: 'soak: left behind', value: 3, met: false },
  ]);
});

test('there is no verdict on a soak of seconds', () => {
  const timelines = [{ name: 'soak, rate', unit: 'per second', points: [[1, 10] as [number, number]] }];
  const [rate] = ratiosOf({ ...nothing, series: [series('soak', [5])], timelines });
  expect(rate).toEqual({
    name: 'soak: rate of the last tenth',
    value: 1,
    of: 'soak, rate',
    to: 'the first tenth',
  });
});

test('what was not measured is not judged', () => {
  expect(ratiosOf(nothing)).toEqual([]);
});
