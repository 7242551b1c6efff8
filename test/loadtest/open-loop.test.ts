import { expect, test } from 'vitest';
import { closedLoop } from '../../loadtest/generators/closed-loop.ts';
import { openLoop } from '../../loadtest/generators/open-loop.ts';
import { burstSchedule, constantSchedule } from '../../loadtest/generators/schedules.ts';
import type { Sample } from '../../loadtest/workloads/workload.ts';
import { bodiesOf, echo, useServer } from './use-server.ts';

const serve = useServer();
const never = new AbortController().signal;
const stallFromMs = 300;
const stallMs = 500;

const arrivalsAt = (schedule: Iterable<number>) => [...schedule].map((atMs) => ({ atMs, workload: echo }));

/** Answers at once, but for half a second, some time from now, in which no request is answered. */
async function stallingServer(): Promise<string> {
  let stallEndsAt = Number.POSITIVE_INFINITY;
  const url = await serve((_request, response) => {
    const leftMs = stallEndsAt - performance.now();
    setTimeout(() => response.end('right'), leftMs > 0 && leftMs <= stallMs ? leftMs : 0);
  });
  // The same clock as the generator's, which starts right after this.
  stallEndsAt = performance.now() + stallFromMs + stallMs;
  return url;
}

test('every request that was due while the server stood still is charged with the wait', async () => {
  const samples: Sample[] = [];
  const result = await openLoop({
    url: await stallingServer(),
    arrivals: arrivalsAt(constantSchedule(100, 1_200)),
    maxInFlight: 1_000,
    onSample: (sample) => void samples.push(sample),
    signal: never,
  });
  expect(result).toMatchObject({ requests: 120, heldBack: 0 });
  expect(new Set(bodiesOf(samples))).toEqual(new Set(['right']));
  const dueInside = samples.filter(
    ({ atMs }) => atMs >= stallFromMs + 50 && atMs <= stallFromMs + stallMs - 50,
  );
  expect(dueInside.length).toBeGreaterThanOrEqual(35);
  for (const { atMs, latencyMs } of dueInside) {
    expect(latencyMs).toBeGreaterThan(stallFromMs + stallMs - atMs - 50);
  }
});

test('callers who wait for their answers hardly notice that stall, which is why there are two generators', async () => {
  const samples: Sample[] = [];
  const url = await stallingServer();
  await closedLoop({
    ...{ url, workload: echo, concurrency: 1, amount: 1_000, signal: never },
    onSample: (sample) => void samples.push(sample),
  });
  expect(samples).toHaveLength(1_000);
  expect(samples.filter(({ latencyMs }) => latencyMs > 200).length).toBeLessThanOrEqual(10);
});

test('requests beyond the cap wait for their turn, are counted, and their wait is in their latency', async () => {
  const samples: Sample[] = [];
  const url = await serve((_request, response) => void setTimeout(() => response.end('right'), 100));
  const result = await openLoop({
    url,
    arrivals: arrivalsAt(burstSchedule(20)),
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
