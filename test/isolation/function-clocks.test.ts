import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { useFunctionZones } from '../support/function-zones.ts';

const { initialised } = useFunctionZones();

test('clocks and pid are those of the invocation; none has run while the zygote waited', async () => {
  const { call } = await initialised('node', {
    'index.mjs': `
      import { readlinkSync } from 'node:fs';
      import { hrtime } from 'node:process';
      const { now } = performance;
      const date = Date.now();
      const read = () => ({ now: performance.now(), kept: now.call(performance), uptime: process.uptime() * 1000 });
      const began = { ...read(), hr: process.hrtime(), hrNs: hrtime.bigint() };
      const { _idleStart: ofLoop } = setTimeout(() => {}, 0);
      export const handler = () => {
        const ended = read();
        const [seconds, ns] = process.hrtime(began.hr);
        const sinceNs = Number(process.hrtime.bigint() - began.hrNs);
        return {
          ofLoop, beganAt: began.now,
          passed: { hr: seconds * 1e3 + ns / 1e6, ns: sinceNs / 1e6,
            ...Object.fromEntries(Object.keys(ended).map((name) => [name, ended[name] - began[name]])) },
          origin: performance.timeOrigin + performance.now(), date: Date.now(), sinceDate: Date.now() - date,
          pid: process.pid, self: Number(readlinkSync('/proc/self')),
        };
      };`,
  });
  const waitsFrom = performance.now();
  await delay(700);
  const waitedMs = performance.now() - waitsFrom;
  const before = Date.now();
  const { value } = await call();
  const after = Date.now();
  expect(value.date).toBeGreaterThanOrEqual(before);
  expect(value.date).toBeLessThanOrEqual(after);
  // The time of the event loop begins with node itself, and so before its function's.
  expect(value.beganAt).toBeLessThan(value.ofLoop);
  // Dates go on: what lies between two of them is what the clocks ran, and all of the wait at least.
  for (const [clock, ms] of Object.entries(value.passed as Record<string, number>)) {
    expect(ms, clock).toBeGreaterThan(0);
    expect(ms, `${clock}: it has run while the zygote waited`).toBeLessThan(value.sinceDate - waitedMs + 5);
  }
  expect(value.date - value.origin).toBeGreaterThan(-5);
  expect(value.date - value.origin).toBeLessThan(after - before + 5);
  expect(value.pid).toBe(value.self);
  const python = await initialised('python', {
    'index.py':
      'import os, time\nthen = time.time()\ndef handler(e, c):\n    return [then, time.time(), os.getpid(), int(os.readlink("/proc/self"))]',
  });
  const asked = Date.now();
  const [then, now, pid, self] = (await python.call()).value;
  expect(then).toBeLessThan(now);
  expect(now * 1000).toBeGreaterThanOrEqual(asked);
  expect(now * 1000).toBeLessThan(Date.now() + 1);
  expect(pid).toBe(self);
});

test('timers that initialisation left begin anew in each invocation', async () => {
  const { call } = await initialised('node', {
    'index.mjs': `
      const zygote = process.pid;
      const seen = { fired: [], ticks: [], cleared: 0 };
      // One that is due while initialisation lasts is due there: it is set again.
      const set = () => setTimeout(() => process.pid === zygote ? set() : seen.fired.push(performance.now()), 150);
      set();
      clearTimeout(setTimeout(() => seen.cleared++, 10));
      setInterval(() => process.pid === zygote || seen.ticks.push(performance.now()), 60).unref();
      await new Promise((resolve) => setTimeout(resolve, 5));
      const left = performance.now();
      // Set by one that is due before initialisation is over.
      setTimeout(() => setTimeout(() => seen.late = performance.now(), 200), 1);
      export const handler = async () => {
        while (seen.fired.length < 1 || seen.ticks.length < 2 || !seen.late) await new Promise((resolve) => setTimeout(resolve, 5));
        await new Promise((resolve) => setTimeout(resolve, 160));
        return { ...seen, left };
      };`,
  });
  await delay(400);
  for (let i = 0; i < 2; i++) {
    const { fired, ticks, late, cleared, left } = (await call()).value;
    expect(fired, 'once').toHaveLength(1);
    expect(cleared).toBe(0);
    // By a clock that stood still meanwhile; of timers whole milliseconds count.
    expect(fired[0] - left).toBeGreaterThan(148);
    expect(ticks[0] - left).toBeGreaterThan(58);
    expect(late - left).toBeGreaterThan(198);
  }
});
