import { expect, test } from 'vitest';
import { Demand } from '../../runtime/pool/demand.ts';
import { poissonArrivals, randomFrom } from './poisson-arrivals.ts';

const deferMs = 25;

function useDemand({ min = 0, max = 1000, servers = 2, refillMs = 5 } = {}) {
  const demand = new Demand({ min, max, servers, deferMs });
  for (let n = 0; n < 40; n++) demand.made(refillMs);
  return demand;
}

/**
 * A pool as WarmPool runs it, in virtual time: refills at once below `need`, else `deferMs` after a lease. Refills take
 * from 0.5 to 1.5 times `refillMs`, at most `servers` at once. Returns the share of leases that found one parked.
 */
function simulate(demand: Demand, arrivals: readonly number[], servers: number, refillMs: number) {
  const random = randomFrom(7);
  const wakes: number[] = [];
  const refills: { startedMs: number; doneMs: number }[] = [];
  let parked = 0;
  let hits = 0;
  let parkedMax = 0;
  const refill = (nowMs: number) => {
    while (refills.length < servers && parked + refills.length < demand.target(nowMs))
      refills.push({ startedMs: nowMs, doneMs: nowMs + refillMs * (0.5 + random()) });
  };
  const advance = (toMs: number) => {
    for (;;) {
      const next = Math.min(...wakes, ...refills.map(({ doneMs }) => doneMs));
      if (next > toMs) return;
      const done = refills.findIndex(({ doneMs }) => doneMs === next);
      const [made] = done === -1 ? [] : refills.splice(done, 1);
      if (made) {
        demand.made(made.doneMs - made.startedMs);
        parked += 1;
        parkedMax = Math.max(parkedMax, parked);
      } else wakes.splice(wakes.indexOf(next), 1);
      refill(next);
    }
  };
  for (const nowMs of arrivals) {
    advance(nowMs);
    demand.leased(nowMs);
    if (parked > 0) {
      parked -= 1;
      hits += 1;
    }
    if (parked + refills.length < demand.need(nowMs)) refill(nowMs);
    else wakes.push(nowMs + deferMs);
  }
  return { hitShare: hits / arrivals.length, parkedMax };
}

for (const perSecond of [0.2, 2, 20, 100, 200, 300])
  test(`of ${perSecond} leases a second at random 95 % find a sandbox parked`, () => {
    const arrivals = poissonArrivals(perSecond, Math.max(60, 500 / perSecond), randomFrom(perSecond));
    const { hitShare, parkedMax } = simulate(useDemand(), arrivals, 2, 5);
    expect(hitShare).toBeGreaterThan(0.95);
    expect(parkedMax).toBeLessThan(60);
  });

test('many cores and slow refills: the pool holds what is being made and a margin', () => {
  const arrivals = poissonArrivals(500, 30, randomFrom(3));
  const { hitShare, parkedMax } = simulate(useDemand({ servers: 16, refillMs: 20 }), arrivals, 16, 20);
  expect(hitShare).toBeGreaterThan(0.95);
  expect(parkedMax).toBeLessThan(100);
});

test('a rise is followed within eight leases', () => {
  const demand = useDemand({ min: 1 });
  for (let n = 0; n < 30; n++) demand.leased(n * 1000);
  expect(demand.need(29_000)).toBeLessThanOrEqual(2);
  for (let n = 1; n <= 8; n++) demand.leased(29_000 + n * 10);
  expect(demand.ratePerSecond(29_080)).toBeGreaterThan(80);
  expect(demand.need(29_080)).toBeGreaterThanOrEqual(4);
});

test('a rush is remembered for some seconds and forgotten in a few minutes', () => {
  const demand = useDemand({ min: 2 });
  for (let n = 0; n < 6000; n++) demand.leased(n * 10);
  const [rate, target] = [demand.ratePerSecond(60_000), demand.target(60_000)];
  expect(rate).toBeGreaterThan(90);
  expect(rate).toBeLessThan(110);
  expect(demand.ratePerSecond(70_000)).toBeGreaterThan(50);
  expect(demand.target(65_000)).toBeGreaterThan(2);
  const later = [10, 30, 60, 120].map((seconds) => demand.target(60_000 + seconds * 1000));
  expect([target, ...later]).toEqual([target, ...later].sort((a, b) => b - a));
  expect(later.at(-1)).toBe(2);
});

test('a pool without a minimum goes down to nothing', () => {
  const demand = useDemand();
  for (let n = 0; n < 100; n++) demand.leased(n * 10);
  expect(demand.target(1000)).toBeGreaterThan(3);
  expect([demand.target(300_000), demand.need(300_000), demand.ratePerSecond(300_000)]).toEqual([0, 0, 0]);
});

test('a pool that nobody leased from has its minimum as target, and needs none', () => {
  const demand = useDemand({ min: 8 });
  expect([demand.target(0), demand.need(0)]).toEqual([8, 0]);
});

test('what is leased faster than refills can be made does not raise the target without end', () => {
  const demand = useDemand({ servers: 2, refillMs: 5 });
  const targets: number[] = [];
  for (let n = 0; n < 50_000; n++) {
    demand.leased(n);
    if (n % 10_000 === 9_999) targets.push(demand.target(n));
  }
  expect(Math.max(...targets)).toBeLessThan(70);
  expect(new Set(targets).size).toBe(1);
});

test('500 at once call for no more than refills can do, and for little soon after', () => {
  const demand = useDemand({ min: 8 });
  for (let n = 0; n < 500; n++) demand.leased(0);
  expect(demand.target(0)).toBeLessThan(70);
  expect(demand.target(3000)).toBeLessThan(20);
});

test('slower refills call for more parked, and the most is kept to', () => {
  const targetAt = (refillMs: number, max = 1000) => {
    const demand = useDemand({ refillMs, servers: 8, max });
    for (let n = 0; n < 1000; n++) demand.leased(n * 20);
    return demand.target(20_000);
  };
  expect(targetAt(5)).toBeLessThan(targetAt(50));
  expect(targetAt(50)).toBeLessThan(targetAt(120));
  expect(targetAt(120, 3)).toBe(3);
});

test('a lease that waited for a zone to boot does not count as a slow refill', () => {
  const demand = useDemand({ refillMs: 5 });
  demand.made(3000);
  expect(demand.refillMs).toBeCloseTo(5, 1);
});
