import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { slopeOf } from '../../loadtest/report/statistics.ts';
import { payloadBytes } from '../../loadtest/sharing/bench-layers.ts';
import { measureSharing, type SharingRow } from '../../loadtest/sharing/measure.ts';
import { storeDir } from '../support/zones.ts';

const nativeDir = resolve(import.meta.dirname, '../../runtime/native');
let directory: string;

beforeAll(async () => {
  // On the store's own disk: in a tmpfs files are memory and cannot leave the page cache.
  directory = await mkdtemp(join(dirname(storeDir), 'test-sharing-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const measure = (kind: 'node' | 'exec', layers: 'shared' | 'private', counts: number[]) =>
  measureSharing({
    nativeDir,
    storeDir,
    directory: join(directory, `${kind}-${layers}`),
    kind,
    layers,
    counts,
  });

test.each(['node', 'exec'] as const)(
  '100 sandboxes on one image (%s) hold its bytes once, on disk and in memory',
  async (kind) => {
    const { rows, perSandbox } = await measure(kind, 'shared', [1, 100]);
    const [one, hundred] = rows as [SharingRow, SharingRow];
    expect(hundred.diskBytes).toBe(one.diskBytes);
    // All of what they read is in the page cache, and no byte of the image's files is charged a second time.
    expect(hundred.cachedBytes).toBeGreaterThanOrEqual(payloadBytes);
    expect(hundred.chargedFileBytes).toBeGreaterThanOrEqual(payloadBytes);
    expect(hundred.chargedFileBytes).toBeLessThanOrEqual(1.05 * hundred.cachedBytes);
    expect(hundred.chargedFileBytes).toBeLessThanOrEqual(1.05 * one.chargedFileBytes);
    // A sandbox is far smaller than what it reads.
    expect(perSandbox.chargedBytes).toBeLessThan(payloadBytes / 4);
  },
);

test('the same measure sees every copy where each sandbox has one of its own', async () => {
  const { perSandbox } = await measure('exec', 'private', [1, 4]);
  for (const bytes of [perSandbox.diskBytes, perSandbox.cachedBytes, perSandbox.chargedFileBytes]) {
    expect(bytes).toBeGreaterThan(0.95 * payloadBytes);
    expect(bytes).toBeLessThan(1.05 * payloadBytes);
  }
});

test('a slope is what y grows by with x, whatever both begin with', () => {
  expect(
    slopeOf([
      [1, 12],
      [10, 30],
      [100, 210],
    ]),
  ).toBeCloseTo(2);
  expect(slopeOf([[1, 12]])).toBeNaN();
});
