import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { RefillGate } from '../../runtime/pool/refill-gate.ts';
import { openSandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { SpecPools } from '../../runtime/pool/spec-pools.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { FakeSandbox, FakeZone } from './fake-sandbox.ts';

afterEach(() => {
  vi.useRealTimers();
});

const purpose = { imageDigest: 'sha256:base', runtime: 'node' } as const;
const base = scratchSpec(['base']);
const versionOf = (n: number) => scratchSpec([`code ${n}`, 'base']);

function usePools({ parkedMax = 1000, spareTarget = 2 } = {}) {
  const made: FakeSandbox[] = [];
  const gate = new RefillGate({ parkedMax, slots: 2 });
  const pools = new SpecPools({
    create: async ({ layers }) => {
      const sandbox = new FakeSandbox(layers);
      made.push(sandbox);
      return sandbox;
    },
    spareTarget,
    idleMs: 60_000,
    gate,
    onError: (error) => {
      throw error;
    },
  });
  const parkedOn = (layer: string) =>
    pools.list().filter(({ pool, sandbox }) => pool === 'parked' && sandbox.layers[0] === layer).length;
  return { pools, gate, made, parkedOn };
}

async function leaseAndEnd(pools: SpecPools, spec = base) {
  const { sandbox, start } = await pools.lease(spec, purpose);
  await sandbox.kill();
  await nextTurn();
  return start;
}

test('the pools of a zone together keep to the budget, and the runtime keeps its own', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pools, gate, parkedOn } = usePools({ parkedMax: 20 });
  await pools.keep(base, purpose, 4);
  for (let n = 0; n < 200; n++) {
    vi.advanceTimersByTime(500);
    await leaseAndEnd(pools, versionOf(n));
    expect(gate.held).toBeLessThanOrEqual(20);
  }
  expect(parkedOn('base')).toBe(4);
  expect(parkedOn('code 0'), 'the earliest gave back').toBe(0);
  expect(pools.list()).toHaveLength(gate.held);
});

test('a function that is leased from often takes places of those that are not', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pools, gate, parkedOn } = usePools({ parkedMax: 8 });
  for (const n of [1, 2, 3, 4]) await leaseAndEnd(pools, versionOf(n));
  expect(gate.held).toBe(8);
  for (let n = 0; n < 50; n++) {
    vi.advanceTimersByTime(10);
    await leaseAndEnd(pools, versionOf(4));
  }
  expect(parkedOn('code 4')).toBeGreaterThan(2);
  expect(gate.held).toBeLessThanOrEqual(8);
});

test('an idle node is left with what its runtimes keep', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pools, gate, made } = usePools();
  await pools.keep(base, purpose, 4);
  for (let n = 0; n < 300; n++) {
    vi.advanceTimersByTime(5);
    await leaseAndEnd(pools, n % 2 === 0 ? base : versionOf(n % 5));
  }
  expect(gate.held).toBeGreaterThan(4);
  vi.advanceTimersByTime(300_000);
  await nextTurn();
  expect(pools.stats()).toMatchObject([{ runtime: 'node', parked: 4, leased: 0, target: 4 }]);
  expect(gate.held).toBe(4);
  expect(made.filter(({ state }) => state !== 'dead')).toHaveLength(4);
});

test('of a burst of 500 every lease succeeds: what is parked is warm, the rest are forks', async () => {
  const { pools, gate } = usePools({ parkedMax: 50 });
  await pools.keep(base, purpose, 8);
  const leases = await Promise.all(Array.from({ length: 500 }, () => pools.lease(base, purpose)));
  expect(new Set(leases.map(({ sandbox }) => sandbox)).size).toBe(500);
  expect(leases.filter(({ start }) => start === 'warm')).toHaveLength(8);
  expect(gate.held).toBeLessThanOrEqual(50);
  await Promise.all(leases.map(({ sandbox }) => sandbox.kill()));
  await nextTurn();
  expect(pools.isBusy).toBe(false);
  await pools.close();
  expect(gate.held).toBe(0);
});

test('all zones of a node share one budget, those of images too', async () => {
  const image = { digest: 'sha256:base', layers: ['base'], searchPath: '/bin' };
  const foreign = { digest: 'sha256:foreign', layers: ['top'], searchPath: '/bin' };
  const source = await openSandboxSource({
    openZone: async () => new FakeZone(),
    images: { node: image, python: image, bash: image },
    targets: { node: 1, python: 1, bash: 1 },
    functionTarget: 2,
    functionIdleMs: 1000,
    parkedMax: 6,
    onError: () => {},
  });
  const parked = () => source.list().filter(({ pool }) => pool === 'parked').length;
  await source.lease({ runtime: 'node', image, spec: versionOf(1) });
  await nextTurn();
  expect(parked()).toBe(5);
  await source.lease({ runtime: 'node', image: foreign, spec: scratchSpec(foreign.layers) });
  await source.lease({ runtime: 'python', image, spec: versionOf(2) });
  await nextTurn();
  expect(parked()).toBe(6);
  await source.close();
});

test('statistics show the stock and the demand of each pool', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pools } = usePools();
  await pools.keep(base, purpose, 2);
  for (let n = 0; n < 20; n++) {
    vi.advanceTimersByTime(100);
    await leaseAndEnd(pools);
  }
  await pools.lease(base, purpose);
  const [stats] = pools.stats();
  expect(stats).toMatchObject({ ...purpose, leased: 1 });
  expect(stats?.ratePerSecond).toBeGreaterThan(9);
  expect(stats?.refillMs).toBeGreaterThan(0);
  expect(stats?.target).toBeGreaterThanOrEqual(2);
});

test('without a minimum nothing is ever parked', async () => {
  const { pools, gate } = usePools({ spareTarget: 0 });
  await pools.keep(base, purpose, 0);
  for (let n = 0; n < 20; n++) expect(await leaseAndEnd(pools)).toBe('fork');
  for (let n = 0; n < 20; n++) expect(await leaseAndEnd(pools, versionOf(1))).toBe('fork');
  expect(gate.held).toBe(0);
});
