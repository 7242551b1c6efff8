import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { createInvocationQueue, type InvocationQueue } from '../../services/queue/invocation-queue.ts';
import { queueKey } from '../../services/queue/job.ts';
import { MemoryCapacity } from '../../services/worker/capacity.ts';
import { createInvocationWorker } from '../../services/worker/invocation-worker.ts';
import { Runs } from '../../services/worker/runs.ts';
import { FakeSandbox } from '../pool/fake-sandbox.ts';
import { useRedis } from '../support/redis.ts';
import { snippetRequest } from '../support/snippet-request.ts';
import { FakeSource, prepareAsIs } from './fake-source.ts';

const redis = useRedis();
const undo: (() => unknown)[] = [];
const patience = { timeout: 60_000, interval: 20 };
let queue: InvocationQueue;

afterEach(async () => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
});

beforeEach(async () => {
  queue = await createInvocationQueue({
    redis: redis.redis,
    subscriber: redis.connect(),
    ...{ queueMax: 500, recordsKept: 3, recordsKeptMs: 3_600_000 },
    onError: (error) => {
      throw error;
    },
  });
  undo.push(() => queue.close());
});

/** Every program ends at once. */
function startWorker({ intervalMs = 50, ms = 3_600_000 } = {}) {
  const source = new FakeSource();
  const lease = source.lease.bind(source);
  source.lease = (request) => {
    const sandbox = new FakeSandbox();
    void sandbox.started.then(() => setImmediate(() => sandbox.end()));
    source.next.push(sandbox);
    return lease(request);
  };
  const worker = createInvocationWorker({
    redis: redis.redis,
    concurrency: 2,
    recordsKept: { count: 3, ms },
    deadLetters: { kept: 10, keptMs: 60_000 },
    deps: {
      ...{ source, runs: new Runs(), prepare: prepareAsIs, recordDiff: async () => ({}) },
      capacity: new MemoryCapacity(2 ** 40),
      logger: pino({ level: 'silent' }),
    },
    stalled: { lockDurationMs: 2_000, intervalMs },
  });
  void worker.run();
  undo.push(() => worker.close());
}

async function run(tenant: string): Promise<string> {
  const id = newInvocationId();
  const finished = await queue.enqueueAndWait(id, { ...snippetRequest, tenant }, { timeoutMs: 170_000 });
  expect(finished.outcome?.status).toBe('ok');
  return id;
}
const known = async (ids: string[], tenant: string) =>
  (await Promise.all(ids.map((id) => queue.get(id, tenant)))).map((record) => record?.status);
const stored = () => redis.redis.zcard(queueKey('completed'));

test("each tenant's newest records are kept, however many another has", async () => {
  startWorker();
  const other = await run('b');
  const ids: string[] = [];
  for (let i = 0; i < 8; i++) ids.push(await run('a'));
  await vi.waitFor(async () => expect(await stored()).toBe(4), patience);
  expect(await known([other], 'b')).toEqual(['done']);
  expect(await known(ids, 'a')).toEqual([...Array(5).fill(undefined), 'done', 'done', 'done']);
});

test('of many that end quickly the oldest go without waiting for the regular look', async () => {
  startWorker({ intervalMs: 600_000 });
  await Promise.all(Array.from({ length: 250 }, () => run('a')));
  await vi.waitFor(async () => expect(await stored()).toBeLessThanOrEqual(103), patience);
});

test('records that are too old go, also where nothing else happens', async () => {
  startWorker({ ms: 1_000 });
  const [id = '', other = ''] = [await run('a'), await run('b')];
  await vi.waitFor(async () => expect(await stored()).toBe(0), patience);
  expect(await redis.redis.exists(queueKey(id), queueKey(other))).toBe(0);
  await vi.waitFor(async () => expect(await redis.redis.keys('oncebox:finished-of:*')).toEqual([]), patience);
});
