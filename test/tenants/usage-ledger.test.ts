import { Queue } from 'bullmq';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { invocationQueueName, queuePrefix } from '../../services/queue/job.ts';
import { createUsageLedger, type UsageLedger } from '../../services/tenants/usage-ledger.ts';
import { openUsageMeter } from '../../services/tenants/usage-meter.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
let ledger: UsageLedger;
let queue: Queue;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  ledger = createUsageLedger(redis.redis);
  queue = new Queue(invocationQueueName, { connection: redis.redis, prefix: queuePrefix });
});
afterEach(async () => {
  vi.useRealTimers();
  await queue.close();
});

const add = (id: string) => queue.add('invocation', {}, { jobId: id });
const jobKey = (id: string) => `${queuePrefix}:${invocationQueueName}:${id}`;
const claim = async (id: string, concurrency = 2, tenant = 'acme') =>
  (await ledger.claim(tenant, id, { concurrency })).status;
/** Longer than any claim holds without a job. */
const pass = () => vi.setSystemTime(Date.now() + 60_000);

test('no more invocations than the quota are let in at once, and those of others count for others', async () => {
  const claims = await Promise.all(Array.from({ length: 20 }, (_, n) => claim(`a${n}`, 5)));
  expect(claims.filter((status) => status === 'ok')).toHaveLength(5);
  expect(claims.filter((status) => status === 'concurrency')).toHaveLength(15);
  expect(await claim('b', 5, 'zeta')).toBe('ok');
  await ledger.release('acme', 'a0');
  expect(await claim('again', 5)).toBe('ok');
});

test('a claim whose job never came is let go: its gateway was killed in between', async () => {
  expect([await claim('a'), await claim('b')]).toEqual(['ok', 'ok']);
  expect(await claim('c')).toBe('concurrency');
  pass();
  expect(await claim('c')).toBe('ok');
  expect(await ledger.concurrency('acme')).toBe(1);
});

test('a job that waits or runs is counted however long that takes, and whoever has died meanwhile', async () => {
  for (const id of ['a', 'b']) {
    expect(await claim(id)).toBe('ok');
    await add(id);
  }
  for (let looks = 0; looks < 3; looks++) {
    pass();
    expect(await claim('c')).toBe('concurrency');
  }
  expect(await ledger.concurrency('acme')).toBe(2);
});

test('a job that finished is not counted, though its worker was killed before it could say so', async () => {
  for (const id of ['a', 'b']) {
    await claim(id);
    await add(id);
  }
  await redis.redis.hset(jobKey('a'), 'finishedOn', Date.now());
  expect(await claim('c')).toBe('ok');
  expect(await claim('d')).toBe('concurrency');
});

test('a job that is to be tried again stays counted when an attempt ends', async () => {
  await claim('a');
  await add('a');
  await ledger.settle('acme', 'a');
  expect(await ledger.concurrency('acme')).toBe(1);
  await redis.redis.hset(jobKey('a'), 'finishedOn', Date.now());
  await ledger.settle('acme', 'a');
  expect(await ledger.concurrency('acme')).toBe(0);
});

test('CPU time is added up by the day, and refuses from the quota on', async () => {
  vi.setSystemTime('2030-01-01T23:00:00Z');
  const quota = { cpuSecondsPerDay: 2 };
  await ledger.addCpu(new Map([['acme', 1_900_000]]));
  expect(await ledger.claim('acme', 'a', quota)).toEqual({ status: 'ok' });
  await ledger.addCpu(new Map([['acme', 100_000.4]]));
  expect(await ledger.claim('acme', 'b', quota)).toEqual({ status: 'cpu', usedSeconds: 2 });
  expect(await ledger.claim('zeta', 'b', quota)).toEqual({ status: 'ok' });
  vi.setSystemTime('2030-01-02T00:00:00Z');
  expect(await ledger.claim('acme', 'c', quota)).toEqual({ status: 'ok' });
  expect(await ledger.cpuSecondsToday('acme')).toBe(0);
});

test('what Redis does not take is written with what comes after it', async () => {
  const written: [string, number][][] = [];
  const errors: unknown[] = [];
  let isAway = true;
  const meter = openUsageMeter(
    {
      async addCpu(used) {
        if (isAway) throw new Error('away');
        written.push([...used]);
      },
    },
    (error) => errors.push(error),
  );
  meter.add('acme', { usage: took(5) });
  await vi.waitFor(() => expect(errors).not.toEqual([]), { timeout: 60_000, interval: 20 });
  isAway = false;
  meter.add('acme', { usage: took(7) });
  meter.add('zeta', { usage: took(0) });
  await meter.close();
  expect(written).toEqual([[['acme', 12_000]]]);
});

test("a compiler's CPU time is counted, whether its program ran or not", async () => {
  const meter = openUsageMeter(ledger, (error) => {
    throw error;
  });
  const printed = { stdout: '', stderr: '', stdoutTruncated: false, stderrTruncated: false };
  const compile = {
    outcome: { status: 'ok' as const },
    start: 'warm' as const,
    usage: took(2_000),
    ...printed,
  };
  meter.add('acme', { compile, usage: took(500) });
  meter.add('zeta', { compile });
  await meter.close();
  expect(await ledger.cpuSecondsToday('acme')).toBe(2.5);
  expect(await ledger.cpuSecondsToday('zeta')).toBe(2);
});

const took = (cpuMs: number) => ({
  ...{ cpuMs, cpuUserMs: cpuMs, cpuSystemMs: 0, throttledMs: 0, wallMs: cpuMs },
  ...{ memoryPeakBytes: 0, writtenBytes: 0 },
});
