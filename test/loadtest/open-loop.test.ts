import { expect, test } from 'vitest';
import { closedLoop } from '../../loadtest/generators/closed-loop.ts';
import { type Arrival, openLoop } from '../../loadtest/generators/open-loop.ts';
import { burstSchedule, constantSchedule } from '../../loadtest/generators/schedules.ts';
import type { Sample } from '../../loadtest/workloads/workload.ts';
import { bodiesOf, echo, useServer } from './use-server.ts';

const serve = useServer();
const never = new AbortController().signal;
const ratePerSecond = 100;
/** The number of the request from which on the server stands still, when that is due, and for how long. */
const stallFrom = 30;
const stallFromMs = (stallFrom * 1_000) / ratePerSecond;
const stallMs = 500;

const arrivalsAt = (schedule: Iterable<number>) => [...schedule].map((atMs) => ({ atMs, workload: echo }));

/**
 * Answers at once, but for half a second, from the request with this number or one behind it on (by the path, or as they
 * come), in which none of those is answered.
 */
async function stallingServer() {
  const stall = { held: 0, endsAtMs: Number.NaN };
  let came = 0;
  let ended: Promise<void> | undefined;
  const url = await serve(async (request, response) => {
    const number = Number(/\d+$/.exec(request.url ?? '')?.[0] ?? came++);
    if (number >= stallFrom) {
      ended ??= new Promise((resolve) =>
        setTimeout(() => {
          stall.endsAtMs = performance.now();
          resolve();
        }, stallMs),
      );
      if (Number.isNaN(stall.endsAtMs)) stall.held += 1;
      await ended;
    }
    response.end('right');
  });
  return { url, stall };
}

test('every request that was due while the server stood still is charged with the wait', async () => {
  const samples: Sample[] = [];
  const { url, stall } = await stallingServer();
  let beganAtMs = 0;
  function* arrivals(): Generator<Arrival> {
    // The generator's clock runs by now.
    beganAtMs = performance.now();
    let number = 0;
    for (const atMs of constantSchedule(ratePerSecond, 1_200))
      yield { atMs, workload: { ...echo, request: { ...echo.request, path: `/echo/${number++}` } } };
  }
  const result = await openLoop({
    url,
    arrivals: arrivals(),
    maxInFlight: 1_000,
    onSample: (sample) => void samples.push(sample),
    signal: never,
  });
  expect(result).toMatchObject({ requests: 120, heldBack: 0 });
  expect(new Set(bodiesOf(samples))).toEqual(new Set(['right']));
  const dueSince = samples.filter(({ atMs }) => atMs >= stallFromMs);
  expect(dueSince).toHaveLength(120 - stallFrom);
  // None of them was answered before the stall ended, whenever it was sent.
  for (const { atMs, latencyMs } of dueSince)
    expect(latencyMs).toBeGreaterThanOrEqual(stall.endsAtMs - beganAtMs - atMs);
  expect(Math.max(...dueSince.map(({ latencyMs }) => latencyMs))).toBeGreaterThan(stallMs / 2);
});

test('callers who wait for their answers hardly notice that stall, which is why there are two generators', async () => {
  const samples: Sample[] = [];
  const { url, stall } = await stallingServer();
  await closedLoop({
    ...{ url, workload: echo, concurrency: 1, amount: 1_000, signal: never },
    onSample: (sample) => void samples.push(sample),
  });
  expect(samples).toHaveLength(1_000);
  expect(stall.held).toBe(1);
  expect(Math.max(...samples.map(({ latencyMs }) => latencyMs))).toBeGreaterThan(stallMs / 2);
});

test('requests beyond the cap wait for their turn, are counted, and their wait is in their latency', async () => {
  const samples: Sample[] = [];
  let allCame = () => {};
  const came = new Promise<void>((resolve) => {
    allCame = resolve;
  });
  const url = await serve(async (_request, response) => {
    await came;
    setTimeout(() => response.end('right'), 100);
  });
  function* arrivals(): Generator<Arrival> {
    yield* arrivalsAt(burstSchedule(20));
    allCame();
  }
  const result = await openLoop({
    url,
    arrivals: arrivals(),
    maxInFlight: 5,
    onSample: (sample) => void samples.push(sample),
    signal: never,
  });
  expect(result).toMatchObject({ requests: 20, peakInFlight: 5, heldBack: 15 });
  expect(Math.max(...samples.map(({ latencyMs }) => latencyMs))).toBeGreaterThan(350);
});

test('a request without an answer is a sample with the reason', async () => {
  const samples: Sample[] = [];
  const url = await serve((request) => request.socket.destroy());
  await openLoop({
    url,
    arrivals: arrivalsAt(burstSchedule(3)),
    maxInFlight: 10,
    onSample: (sample) => void samples.push(sample),
    signal: never,
  });
  expect(samples).toHaveLength(3);
  for (const { answer } of samples) expect(answer).toMatchObject({ error: expect.stringMatching(/\w/) });
});

test('an interrupted load rejects with the reason, though requests are under way', async () => {
  const interrupt = new AbortController();
  const url = await serve(() => interrupt.abort(new Error('enough')));
  const load = openLoop({
    url,
    arrivals: arrivalsAt(constantSchedule(1, 60_000)),
    maxInFlight: 10,
    onSample: () => {},
    signal: interrupt.signal,
  });
  await expect(load).rejects.toThrow(/enough|aborted/);
});

test('the closed generator hands over whole bodies and headers, and as many samples as were asked for', async () => {
  const samples: Sample[] = [];
  const url = await serve((_request, response) => {
    response.writeHead(200, { 'X-Start': 'warm' });
    response.write('ri');
    setTimeout(() => response.end('ght'), 5);
  });
  await closedLoop({
    ...{ url, workload: echo, concurrency: 4, amount: 21, signal: never },
    onSample: (sample) => void samples.push(sample),
  });
  const facts = samples.map(({ answer }) => ('reply' in answer ? echo.read(answer.reply) : answer));
  expect(facts).toEqual(new Array(21).fill({ start: 'warm', phaseMs: {} }));
  expect(Math.min(...samples.map(({ latencyMs }) => latencyMs))).toBeGreaterThan(4);
});

test('the closed generator counts what was not answered', async () => {
  const samples: Sample[] = [];
  const url = await serve((request) => request.socket.destroy());
  await closedLoop({
    ...{ url, workload: echo, concurrency: 2, amount: 6, signal: never },
    onSample: (sample) => void samples.push(sample),
  });
  expect(samples).toHaveLength(6);
  for (const { answer } of samples)
    expect(answer).toMatchObject({ error: expect.stringMatching(/no answer/) });
});
