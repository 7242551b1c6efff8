import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RefillGate } from '../../runtime/pool/refill-gate.ts';
import { WarmPool } from '../../runtime/pool/warm-pool.ts';
import type { Sandbox } from '../../runtime/sandbox/sandbox.ts';
import { FakeSandbox } from './fake-sandbox.ts';
import { poissonArrivals, randomFrom } from './poisson-arrivals.ts';

/** Timers fire when a test says so: none does behind its back, however long a turn of the event loop takes. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const useGate = (parkedMax = 1000) => new RefillGate({ parkedMax, slots: 2 });

/** A pool over a factory whose every creation the test decides about. Without `max` demand does not change its target. */
function usePool(min: number, { max = min, gate = useGate() } = {}) {
  const pending: { resolve(sandbox: Sandbox): void; reject(error: Error): void }[] = [];
  const errors: unknown[] = [];
  const pool = new WarmPool({
    create: () => new Promise((resolve, reject) => pending.push({ resolve, reject })),
    min,
    max,
    gate,
    onError: (error) => errors.push(error),
  });
  async function made(sandbox = new FakeSandbox()) {
    pending.shift()?.resolve(sandbox);
    await nextTurn();
    return sandbox;
  }
  async function fails() {
    pending.shift()?.reject(new Error('no room'));
    await nextTurn();
  }
  void pool.full();
  return { pool, pending, errors, made, fails };
}

async function useFullPool(min: number, { max = min, gate = useGate(), reserved = 0 } = {}) {
  const made: FakeSandbox[] = [];
  const pool = new WarmPool({
    create: async () => {
      const sandbox = new FakeSandbox();
      made.push(sandbox);
      return sandbox;
    },
    min,
    max,
    reserved,
    gate,
    onError: (error) => {
      throw error;
    },
  });
  await pool.full();
  return { pool, made };
}

test('a pool fills up to its minimum, two at a time', async () => {
  const { pool, pending, made } = usePool(3);
  expect(pending).toHaveLength(2);
  await made();
  expect(pending).toHaveLength(2);
  await made();
  await made();
  expect(pending).toHaveLength(0);
  expect([pool.parked, pool.leased]).toEqual([3, 0]);
});

test('full resolves when the minimum is reached and not before', async () => {
  const { pool, made } = usePool(2);
  let isFull = false;
  const full = pool.full().then(() => {
    isFull = true;
  });
  await made();
  expect(isFull).toBe(false);
  await made();
  await full;
  expect(isFull).toBe(true);
});

test('a lease takes the oldest parked sandbox, and it is warm', async () => {
  const { pool, made } = await useFullPool(2);
  const lease = await pool.lease();
  expect(lease).toEqual({ sandbox: made[0], start: 'warm' });
  expect([pool.parked, pool.leased]).toEqual([1, 1]);
});

test('a leased sandbox is replaced once it is dead: until then its run has the CPU', async () => {
  const { pool, made } = await useFullPool(4);
  const { sandbox } = await pool.lease();
  await nextTurn();
  expect([made.length, pool.parked, pool.leased]).toEqual([4, 3, 1]);
  await sandbox.kill();
  await pool.full();
  expect([made.length, pool.parked, pool.leased]).toEqual([5, 4, 0]);
});

test('a run that goes on is waited for only past its start', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pool, made } = await useFullPool(4);
  await pool.lease();
  vi.advanceTimersByTime(24);
  await nextTurn();
  expect(made).toHaveLength(4);
  vi.advanceTimersByTime(1);
  await pool.full();
  expect([made.length, pool.parked, pool.leased]).toEqual([5, 4, 1]);
});

test('a pool that runs low is refilled at once', async () => {
  const { pool, made } = await useFullPool(2);
  await pool.lease();
  await pool.lease();
  await nextTurn();
  await pool.full();
  expect([made.length, pool.parked, pool.leased]).toEqual([4, 2, 2]);
});

test('no sandbox is leased twice', async () => {
  const { pool } = await useFullPool(4);
  const leases = await Promise.all(Array.from({ length: 20 }, () => pool.lease()));
  expect(new Set(leases.map((lease) => lease.sandbox)).size).toBe(20);
});

test('a lease from an empty pool makes its own sandbox, which is a fork', async () => {
  const { pool, pending, made } = usePool(0);
  const lease = pool.lease();
  expect(pending).toHaveLength(1);
  const sandbox = await made();
  expect(await lease).toEqual({ sandbox, start: 'fork' });
  expect([pool.parked, pool.leased]).toEqual([0, 1]);
});

test('a lease from an empty pool does not wait for refills under way', async () => {
  const { pool, pending } = usePool(2);
  const lease = pool.lease();
  expect(pending).toHaveLength(3);
  const sandbox = new FakeSandbox();
  pending[2]?.resolve(sandbox);
  expect((await lease).sandbox).toBe(sandbox);
});

test('a lease fails with the reason for which no sandbox could be made', async () => {
  const { pool, fails } = usePool(0);
  const lease = expect(pool.lease()).rejects.toThrow('no room');
  await fails();
  await lease;
  expect(pool.list()).toEqual([]);
});

test('a leased sandbox that dies leaves the pool and is never parked again', async () => {
  const { pool } = await useFullPool(1);
  const { sandbox } = await pool.lease();
  (sandbox as FakeSandbox).end();
  await nextTurn();
  expect(pool.leased).toBe(0);
  expect(pool.list().map((entry) => entry.sandbox)).not.toContain(sandbox);
});

test('a parked sandbox that dies is removed and replaced', async () => {
  const { pool, made } = await useFullPool(2);
  made[0]?.lose();
  await nextTurn();
  expect(pool.parked).toBe(1);
  vi.advanceTimersByTime(100);
  await pool.full();
  expect(made).toHaveLength(3);
  expect((await pool.lease()).sandbox).toBe(made[1]);
});

test('a parked sandbox whose death has not been noticed yet is not leased', async () => {
  const { pool, made } = await useFullPool(2);
  made[0]?.lose();
  expect((await pool.lease()).sandbox).toBe(made[1]);
});

test('refills that fail are reported and tried again ever more slowly, one at a time', async () => {
  const { pool, pending, errors, fails, made } = usePool(2);
  await fails();
  await fails();
  expect(errors).toHaveLength(2);
  expect(pending).toHaveLength(0);
  vi.advanceTimersByTime(50);
  expect(pending).toHaveLength(1);
  await fails();
  vi.advanceTimersByTime(99);
  expect(pending).toHaveLength(0);
  vi.advanceTimersByTime(1);
  expect(pending).toHaveLength(1);
  await made();
  expect(pending).toHaveLength(1);
  await made();
  expect(pool.parked).toBe(2);
});

test('a pool whose refills fail still serves leases', async () => {
  const { pool, fails, pending, made } = usePool(2);
  await fails();
  await fails();
  const lease = pool.lease();
  expect(pending).toHaveLength(1);
  const sandbox = await made();
  expect(await lease).toEqual({ sandbox, start: 'fork' });
  await pool.close();
});

test('a pool grows with its demand, and gives back what the demand no longer calls for', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pool, made } = await useFullPool(2, { max: 50 });
  for (let n = 0; n < 200; n++) {
    vi.advanceTimersByTime(10);
    const { sandbox } = await pool.lease();
    await sandbox.kill();
    await nextTurn();
  }
  const { parked, target, ratePerSecond } = pool.stats();
  expect(parked).toBeGreaterThan(3);
  expect(parked).toBe(target);
  expect(Math.round(ratePerSecond)).toBe(100);
  vi.advanceTimersByTime(180_000);
  expect(pool.stats()).toMatchObject({ parked: 2, target: 2 });
  expect(made.filter(({ state }) => state !== 'dead')).toHaveLength(2);
  expect(vi.getTimerCount(), 'an idle pool does nothing').toBe(0);
});

test('a sandbox made for a demand that is over is killed', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pool, pending, made } = usePool(1, { max: 10 });
  await made();
  const leases = Array.from({ length: 4 }, () => pool.lease());
  for (let fork = 0; fork < 3; fork++) await made();
  await Promise.all(leases);
  expect(pending, 'refills').toHaveLength(2);
  vi.advanceTimersByTime(300_000);
  expect(pool.target).toBe(1);
  expect([(await made()).state, (await made()).state]).toEqual(['created', 'dead']);
  expect(pool.parked).toBe(1);
});

test('of 150 leases a second at random 95 % are warm where making one takes 6 ms and a run 8', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const pool = new WarmPool({
    create: () => after(6).then(() => new FakeSandbox()),
    min: 2,
    max: 100,
    gate: useGate(),
    onError: (error) => {
      throw error;
    },
  });
  const arrivals = poissonArrivals(150, 10, randomFrom(1));
  const starts: string[] = [];
  let [nowMs, parkedMax] = [0, 0];
  for (const arrivalMs of arrivals) {
    await vi.advanceTimersByTimeAsync(arrivalMs - nowMs);
    nowMs = arrivalMs;
    parkedMax = Math.max(parkedMax, pool.parked);
    void pool.lease().then(({ sandbox, start }) => {
      starts.push(start);
      void after(8).then(() => sandbox.kill());
    });
    await nextTurn();
  }
  expect(starts.filter((start) => start === 'warm').length / arrivals.length).toBeGreaterThan(0.95);
  expect(parkedMax).toBeLessThan(50);
});

test('of a burst every lease succeeds, and those that find nothing parked are forks', async () => {
  const { pool } = await useFullPool(8, { max: 100 });
  const leases = await Promise.all(Array.from({ length: 500 }, () => pool.lease()));
  expect(new Set(leases.map(({ sandbox }) => sandbox)).size).toBe(500);
  expect(leases.filter(({ start }) => start === 'warm')).toHaveLength(8);
  await Promise.all(leases.map(({ sandbox }) => sandbox.kill()));
  expect(pool.parked).toBeLessThan(100);
});

test('close kills the parked ones and leaves the leased ones to their owners', async () => {
  const { pool, made } = await useFullPool(2);
  const { sandbox } = await pool.lease();
  await pool.close();
  expect(sandbox.state).toBe('created');
  expect(made.filter((one) => one !== sandbox).every((one) => one.state === 'dead')).toBe(true);
  expect([pool.parked, pool.leased]).toEqual([0, 1]);
});

test('close waits for refills under way and kills what they make', async () => {
  const { pool, pending } = usePool(1);
  let isClosed = false;
  const closed = pool.close().then(() => {
    isClosed = true;
  });
  await nextTurn();
  expect(isClosed).toBe(false);
  const sandbox = new FakeSandbox();
  pending[0]?.resolve(sandbox);
  await closed;
  expect(sandbox.state).toBe('dead');
  expect(pending).toHaveLength(1);
});

test('a closed pool refuses leases and kills a sandbox made for one under way', async () => {
  const { pool, made } = usePool(0);
  const lease = expect(pool.lease()).rejects.toThrow('the pool is closed');
  await pool.close();
  const sandbox = await made();
  await lease;
  expect(sandbox.state).toBe('dead');
  await expect(pool.lease()).rejects.toThrow('the pool is closed');
});

test('a closed pool counts as full, so that nobody waits for it', async () => {
  const { pool, fails } = usePool(1);
  const full = pool.full();
  const closed = pool.close();
  await fails();
  await Promise.all([full, closed]);
});

test('sandboxes that die as soon as they are parked are made ever more slowly', async () => {
  vi.useFakeTimers();
  let made = 0;
  const gate = useGate();
  const pool = new WarmPool({
    create: async () => {
      made += 1;
      const sandbox = new FakeSandbox();
      setTimeout(() => sandbox.lose(), 5);
      return sandbox;
    },
    min: 2,
    max: 10,
    gate,
    onError: () => {},
  });
  void pool.full();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(made).toBeLessThan(30);
  await pool.close();
  expect(gate.held).toBe(0);
});

test('what is to be kept is parked whatever the demand, until it is to be no more', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { pool, made } = await useFullPool(1, { max: 10 });
  pool.keep(3);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([pool.parked, pool.reserved]).toEqual([3, 3]);
  const lease = await pool.lease();
  void lease.sandbox.kill();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(pool.parked, 'however long nobody leases').toBe(3);
  pool.keep(0);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([pool.parked, pool.reserved]).toEqual([1, 0]);
  expect(made.length).toBeGreaterThan(3);
});
