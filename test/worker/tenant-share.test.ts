import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createInvocationQueue, type InvocationQueue } from '../../services/queue/invocation-queue.ts';
import { cancelChannel, cancelledField, queueKey } from '../../services/queue/job.ts';
import { sharedTenantsKey, shareHeldKey } from '../../services/queue/tenant-share.ts';
import { functionHashKey } from '../../services/registry/settings.ts';
import { MemoryCapacity } from '../../services/worker/capacity.ts';
import { createInvocationWorker } from '../../services/worker/invocation-worker.ts';
import { Runs } from '../../services/worker/runs.ts';
import { createTenantShare } from '../../services/worker/tenant-share.ts';
import { FakeSandbox } from '../pool/fake-sandbox.ts';
import { useRedis } from '../support/redis.ts';
import { snippetRequest } from '../support/snippet-request.ts';
import { FakeSource, prepareAsIs } from './fake-source.ts';
import { startDoomedWorker } from './start-doomed-worker.ts';

const redis = useRedis();
const undo: (() => unknown)[] = [];
const patience = { timeout: 60_000, interval: 20 };
const queueMax = 40;
let queue: InvocationQueue;

beforeEach(async () => {
  queue = await createInvocationQueue({
    redis: redis.redis,
    subscriber: redis.connect(),
    queueMax,
    recordsKept: 100,
    recordsKeptMs: 60_000,
    onError: (error) => {
      throw error;
    },
  });
  undo.push(() => queue.close());
});

afterEach(async () => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
});

/** Of four places a tenant may have three. Its programs run until the test ends them. */
async function startWorker({
  isShared = () => true,
  intervalMs = 100,
  concurrency = 4,
}: {
  isShared?: () => boolean;
  intervalMs?: number;
  concurrency?: number;
} = {}) {
  const source = new FakeSource();
  const runs = new Runs();
  const subscriber = redis.connect();
  subscriber.on('message', (_, id) => runs.cancel(id));
  await subscriber.subscribe(cancelChannel);
  const worker = createInvocationWorker({
    recordsKept: { count: 100, ms: 60_000 },
    redis: redis.redis,
    concurrency,
    isShared,
    deadLetters: { kept: 10, keptMs: 60_000 },
    deps: {
      ...{ source, runs, prepare: prepareAsIs, recordDiff: async () => ({}) },
      capacity: new MemoryCapacity(2 ** 40),
      logger: pino({ level: 'silent' }),
    },
    stalled: { lockDurationMs: 30_000, intervalMs },
  });
  void worker.run();
  undo.push(async () => {
    runs.abortAll();
    for (const sandbox of source.leased) sandbox.end();
    await worker.close();
  });
  return {
    ...{ source, worker },
    running: () => source.leased.filter(({ state }) => state === 'running'),
    names: () => source.leased.map(({ runs: [run] }) => Buffer.from(run?.stdin ?? []).toString()),
  };
}

let ids = 0;
async function call(tenant: string, more: Partial<Parameters<InvocationQueue['enqueue']>[1]> = {}) {
  const id = `share-${++ids}`;
  await queue.enqueue(id, { ...snippetRequest, tenant, stdin: tenant, ...more });
  return id;
}
async function calls(tenant: string, count: number) {
  const called: string[] = [];
  while (called.length < count) called.push(await call(tenant));
  return called;
}
const statusOf = async (id: string, tenant: string) => (await queue.get(id, tenant))?.status;
const held = async () => (await queue.figures()).held;
const nothingHeld = async () => {
  expect(await redis.redis.keys('oncebox:*held*')).toEqual([]);
  expect(await redis.redis.keys('oncebox:share*')).toEqual([]);
};
const settled = (worker: Awaited<ReturnType<typeof startWorker>>, running: number, waiting: number) =>
  vi.waitFor(
    async () => expect([worker.running().length, await held()]).toEqual([running, waiting]),
    patience,
  );

test("a tenant whose programs run for ever leaves a place for another's call, and all of them get a turn", async () => {
  const worker = await startWorker();
  const called = await calls('a', 12);
  await settled(worker, 3, 9);
  const other = await call('b');
  await vi.waitFor(() => expect(worker.running()).toHaveLength(4), patience);
  worker.running().at(-1)?.end();
  await vi.waitFor(async () => expect(await statusOf(other, 'b')).toBe('done'), patience);
  await settled(worker, 3, 9);
  expect(await statusOf(called.at(-1) ?? '', 'a')).toBe('queued');
  expect(await queue.waiting()).toBe(9);
  for (const _ of called) {
    await vi.waitFor(() => expect(worker.running().length).toBeGreaterThan(0), patience);
    expect(worker.running().length).toBeLessThanOrEqual(3);
    worker.running()[0]?.end();
  }
  for (const id of called)
    await vi.waitFor(
      async () => expect(await queue.get(id, 'a')).toMatchObject({ status: 'done', attempt: 1 }),
      patience,
    );
  await vi.waitFor(nothingHeld, patience);
});

test('one that ends lets the next in at once', async () => {
  // The regular look comes too late for this test.
  const worker = await startWorker({ intervalMs: 600_000 });
  await calls('a', 8);
  for (let waiting = 5; waiting > 0; waiting--) {
    await settled(worker, 3, waiting);
    worker.running()[0]?.end();
  }
  await settled(worker, 3, 0);
});

/** Scripts that let in who is held. */
function letIns() {
  const spy = vi.spyOn(redis.redis, 'eval');
  undo.push(() => spy.mockRestore());
  return () => spy.mock.calls.filter(([script]) => String(script).includes("'ZPOPMIN'")).length;
}

test('that one is held lets nobody in, and costs no question', async () => {
  const asked = letIns();
  const sweeps = vi.spyOn(redis.redis, 'smembers');
  undo.push(() => sweeps.mockRestore());
  const worker = await startWorker({ intervalMs: 600_000 });
  await vi.waitFor(() => expect(sweeps).toHaveBeenCalledWith(sharedTenantsKey), patience);
  await calls('a', 4);
  await settled(worker, 3, 1);
  worker.running()[0]?.end();
  await settled(worker, 3, 0);
  expect(asked()).toBe(1);
});

test('many that end at once let in as many, with two questions to Redis', async () => {
  for (let at = 0; at < 13; at++) {
    await redis.redis.hset(queueKey(`held-${at}`), 'about', JSON.stringify({ tenant: 'a' }));
    for (const key of ['oncebox:held', shareHeldKey('a')]) await redis.redis.zadd(key, at, `held-${at}`);
  }
  await redis.redis.sadd(sharedTenantsKey, 'a');
  let isShared = true;
  const share = createTenantShare({
    ...{ redis: redis.redis, places: 4, isShared: () => isShared, countOf: () => 4 },
    onError: (error) => {
      throw error;
    },
  });
  await share.sweep();
  expect(await held()).toBe(10);
  isShared = false;
  const asked = letIns();
  for (let ended = 0; ended < 6; ended++) share.ended('a');
  await vi.waitFor(async () => expect(await held()).toBe(4), patience);
  expect(asked()).toBe(2);
});

test('what is held goes in the order of its priorities', async () => {
  const worker = await startWorker();
  await calls('a', 4);
  await settled(worker, 3, 1);
  for (let i = 0; i < 6; i++) await call('a', { priority: 'low', stdin: 'low' });
  for (let i = 0; i < 6; i++) await call('a', { priority: 'high', stdin: 'high' });
  await settled(worker, 3, 13);
  for (let ended = 1; ended <= 8; ended++) {
    worker.running()[0]?.end();
    await settled(worker, 3, 13 - ended);
  }
  const later = worker.names().slice(4);
  expect(later.filter((name) => name === 'high').length).toBeGreaterThanOrEqual(5);
});

test('of two that are held and whose turn is the same, the first goes first, though the queue was empty in between', async () => {
  const worker = await startWorker();
  await calls('a', 4);
  await settled(worker, 3, 1);
  await redis.redis.set(queueKey('pc'), 1000);
  const normal = await call('a');
  await redis.redis.del(queueKey('pc'));
  const high: string[] = [];
  while (high.length < 3) high.push(await call('a', { priority: 'high' }));
  const order = await redis.redis.zrange(shareHeldKey('a'), '1', '-1');
  expect(order).toEqual([high[0], high[1], normal, high[2]]);
});

test('one that is held can be cancelled, and what it leaves is nothing', async () => {
  const worker = await startWorker();
  const called = await calls('a', 5);
  await settled(worker, 3, 2);
  for (const id of called.slice(3))
    expect(await queue.cancel(id, 'a')).toMatchObject({ outcome: { status: 'cancelled' } });
  expect(await held()).toBe(0);
  for (const sandbox of worker.running()) sandbox.end();
  for (const id of called.slice(0, 3))
    await vi.waitFor(async () => expect(await statusOf(id, 'a')).toBe('done'), patience);
  expect(worker.source.leased).toHaveLength(3);
  await vi.waitFor(nothingHeld, patience);
});

test('one that is cancelled while its worker takes it is not held, but ends', async () => {
  const [, , , cancelled = ''] = await calls('a', 4);
  await redis.redis.hset(queueKey(cancelled), cancelledField, 1);
  const worker = await startWorker();
  await settled(worker, 4, 0);
  await redis.redis.publish(cancelChannel, cancelled);
  await vi.waitFor(
    async () => expect(await queue.get(cancelled, 'a')).toMatchObject({ outcome: { status: 'cancelled' } }),
    patience,
  );
});

test("what a tenant has held has the queue's bound, and takes no room of another's", async () => {
  const worker = await startWorker();
  await calls('a', 4);
  await settled(worker, 3, 1);
  await calls('a', queueMax - 1);
  await expect(call('a')).rejects.toMatchObject({ code: 'queue_full' });
  const other = await call('b');
  await vi.waitFor(async () => expect(await statusOf(other, 'b')).toBe('running'), patience);
  expect(await queue.figures()).toMatchObject({ held: queueMax, waiting: 0 });
});

test("a function's cap and its tenant's share hold together", async () => {
  await redis.redis.hset(functionHashKey('a', 'f'), 'settings', JSON.stringify({ concurrency: 2 }));
  const called = { name: 'f', version: 1, digest: '0'.repeat(64) };
  const worker = await startWorker();
  await calls('a', 3);
  await settled(worker, 3, 0);
  const functions: string[] = [];
  for (let i = 0; i < 6; i++) functions.push(await call('a', { function: called, stdin: 'f' }));
  // Two have a slot and wait for their tenant, four for their function.
  await settled(worker, 3, 6);
  expect(await redis.redis.zcard('oncebox:share-held:a')).toBe(2);
  expect(await queue.cancel(functions[0] ?? '', 'a')).toMatchObject({ outcome: { status: 'cancelled' } });
  for (const [at, id] of functions.entries()) {
    if (at === 0) continue;
    await vi.waitFor(() => expect(worker.running().length).toBeGreaterThan(0), patience);
    await vi.waitFor(async () => {
      worker.running()[0]?.end();
      expect(await statusOf(id, 'a')).toBe('done');
    }, patience);
  }
  await vi.waitFor(nothingHeld, patience);
  await vi.waitFor(async () => expect(await redis.redis.keys('oncebox:slots:*')).toEqual([]), patience);
});

test('who is held when the worker is killed runs on the next one', async () => {
  const doomed = startDoomedWorker(redis.url, 4);
  undo.push(doomed.kill);
  const called = await calls('a', 7);
  await doomed.running();
  await vi.waitFor(async () => expect(await held()).toBe(4), patience);
  await doomed.kill();
  const worker = await startWorker();
  await settled(worker, 3, 1);
  for (let ended = 0; ended < 4; ended++) {
    await vi.waitFor(() => expect(worker.running().length).toBeGreaterThan(0), patience);
    worker.running()[0]?.end();
  }
  const ends = async () =>
    (await Promise.all(called.map((id) => queue.get(id, 'a')))).map((record) => record?.outcome?.status);
  await vi.waitFor(
    async () => expect((await ends()).sort()).toEqual(['lost', 'lost', 'lost', 'ok', 'ok', 'ok', 'ok']),
    patience,
  );
  await vi.waitFor(nothingHeld, patience);
});

test('who is held when a worker stops is there for the next one', async () => {
  const first = await startWorker();
  const called = await calls('a', 6);
  await settled(first, 3, 3);
  const stopped = first.worker.close();
  for (const sandbox of first.running()) sandbox.end();
  await stopped;
  const next = await startWorker();
  for (let ended = 0; ended < 3; ended++) {
    await vi.waitFor(() => expect(next.running().length).toBeGreaterThan(0), patience);
    next.running()[0]?.end();
  }
  for (const id of called)
    await vi.waitFor(async () => expect(await statusOf(id, 'a')).toBe('done'), patience);
  await vi.waitFor(nothingHeld, patience);
});

test('a tenant that one worker has its share of may have places of others', async () => {
  const nodes = ['x', 'y'].map((node) => ({ node, concurrency: 4 }));
  for (const info of nodes) {
    await redis.redis.sadd('oncebox:nodes', info.node);
    await redis.redis.set(`oncebox:node:${info.node}`, JSON.stringify(info));
  }
  const [first, second] = [await startWorker(), await startWorker()];
  const called = await calls('a', 10);
  const both = () => first.running().length + second.running().length;
  // Of eight places, all but one.
  await vi.waitFor(async () => expect([both(), await held()]).toEqual([7, 3]), patience);
  const other = await call('b');
  await vi.waitFor(async () => expect(await statusOf(other, 'b')).toBe('running'), patience);
  for (const _ of called)
    await vi.waitFor(() => {
      const [running] = [...first.running(), ...second.running()];
      running?.end();
      expect(running).toBeDefined();
    }, patience);
  for (const id of called)
    await vi.waitFor(async () => {
      for (const sandbox of [...first.running(), ...second.running()]) sandbox.end();
      expect(await statusOf(id, 'a')).toBe('done');
    }, patience);
});

test("where there is no other tenant all places are the one's, and who is held is let in", async () => {
  let isShared = true;
  const worker = await startWorker({ isShared: () => isShared });
  await calls('a', 5);
  await settled(worker, 3, 2);
  isShared = false;
  await settled(worker, 4, 0);
});

test('what cannot be swept keeps nobody from being let in', async () => {
  let isShared = true;
  const worker = await startWorker({ isShared: () => isShared });
  await calls('a', 4);
  await settled(worker, 3, 1);
  await redis.redis.sadd('oncebox:capped', 'b:f');
  await redis.redis.set('oncebox:slots:b:f', 'no set');
  const broken = Array.from({ length: 20 }, (_, at) => `broken-${at}`);
  await redis.redis.sadd(sharedTenantsKey, ...broken);
  for (const tenant of broken) await redis.redis.set(shareHeldKey(tenant), 'no set');
  isShared = false;
  await settled(worker, 4, 0);
});

test('one of a kind that this release does not know, or of an earlier one, is held as any other', async () => {
  const called = await calls('a', 6);
  for (const [at, id] of called.entries()) {
    const about = at % 2 === 0 ? { tenant: 'a', priority: 'urgent' } : { tenant: 'a' };
    await redis.redis.hset(`oncebox:invocations:${id}`, 'about', JSON.stringify(about));
  }
  const worker = await startWorker();
  await settled(worker, 3, 3);
  for (const id of called)
    await vi.waitFor(async () => {
      worker.running()[0]?.end();
      expect(await statusOf(id, 'a')).toBe('done');
    }, patience);
});

test('one of which its job does not say what lists tell, as of an older release, is let in too', async () => {
  const [, , , called = ''] = await calls('a', 4);
  await redis.redis.hdel(queueKey(called), 'about');
  const worker = await startWorker();
  await settled(worker, 3, 1);
  worker.running()[0]?.end();
  await settled(worker, 3, 0);
  worker.running()[2]?.end();
  await vi.waitFor(async () => expect(await statusOf(called, 'a')).toBe('done'), patience);
  await vi.waitFor(nothingHeld, patience);
});

test('a worker with one place gives it to whoever comes', async () => {
  const worker = await startWorker({ concurrency: 1 });
  await calls('a', 2);
  await settled(worker, 1, 0);
});

test('many short ones of many tenants all end, and nothing is left of the share', async () => {
  const worker = await startWorker();
  worker.source.next.push(
    ...Array.from({ length: 30 }, () => {
      const sandbox = new FakeSandbox();
      void sandbox.started.then(() => setImmediate(() => sandbox.end()));
      return sandbox;
    }),
  );
  const called = await Promise.all(
    Array.from({ length: 10 }, () => ['a', 'b', 'c']).flatMap((tenants) =>
      tenants.map(async (tenant) => ({ tenant, id: await call(tenant) })),
    ),
  );
  for (const { id, tenant } of called)
    await vi.waitFor(async () => expect(await statusOf(id, tenant)).toBe('done'), patience);
  expect(worker.source.leased).toHaveLength(30);
  await vi.waitFor(nothingHeld, patience);
});
