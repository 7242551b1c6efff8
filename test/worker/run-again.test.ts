import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FunctionSettings } from '../../sdk/contract/function-settings.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import {
  createInvocationQueue,
  type InvocationQueue,
  type InvocationRequest,
} from '../../services/queue/invocation-queue.ts';
import { cancelledIndexKey, cancelledKey } from '../../services/queue/job.ts';
import { functionHashKey } from '../../services/registry/settings.ts';
import { MemoryCapacity } from '../../services/worker/capacity.ts';
import {
  createInvocationWorker,
  type InvocationWorkerOptions,
} from '../../services/worker/invocation-worker.ts';
import { Runs } from '../../services/worker/runs.ts';
import { report } from '../pool/fake-sandbox.ts';
import { useRedis } from '../support/redis.ts';
import { FakeSource, prepareAsIs } from './fake-source.ts';
import { startDoomedWorker } from './start-doomed-worker.ts';

const redis = useRedis();
const undo: (() => unknown)[] = [];
let queue: InvocationQueue;
let source: FakeSource;
const onError = (error: unknown) => {
  throw error;
};

beforeEach(async () => {
  const bounds = { queueMax: 100, recordsKept: 100, recordsKeptMs: 60_000 };
  queue = await createInvocationQueue({
    redis: redis.redis,
    subscriber: redis.connect(),
    ...bounds,
    onError,
  });
  source = new FakeSource();
  undo.push(() => queue.close());
});
afterEach(async () => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
});

/** It hears of no cancel: a message may get lost, or come too late. */
function startWorker({
  intervalMs = 100,
  callbacks,
}: {
  intervalMs?: number;
  callbacks?: InvocationWorkerOptions['callbacks'];
} = {}) {
  const runs = new Runs();
  const worker = createInvocationWorker({
    recordsKept: { count: 100, ms: 60_000 },
    redis: redis.redis,
    ...(callbacks && { callbacks }),
    concurrency: 4,
    deadLetters: { kept: 3, keptMs: 60_000 },
    deps: {
      ...{ source, runs, prepare: prepareAsIs, capacity: new MemoryCapacity(2 ** 30) },
      recordDiff: async () => ({}),
      logger: pino({ level: 'silent' }),
    },
    stalled: { lockDurationMs: 3 * intervalMs, intervalMs },
  });
  void worker.run();
  undo.push(async () => {
    runs.abortAll();
    await worker.close();
  });
}

const request: InvocationRequest = {
  tenant: 'default',
  runtime: 'node',
  function: { name: 'f', version: 1, digest: 'sha256:f' },
  program: {
    kind: 'handler',
    handler: 'index.handler',
    eventJson: '{}',
    context: { invocationId: 'x', functionName: 'f', functionVersion: '1', deadlineMs: 0 },
    env: {},
  },
  stdin: '',
  limits: defaultLimits(),
};
const set = (settings: FunctionSettings) =>
  redis.redis.hset(functionHashKey('default', 'f'), 'settings', JSON.stringify(settings));
const retry = { attempts: 3, on: ['exited' as const], backoffMs: 10, backoffMaxMs: 1_000 };

/** Ends the next run as a program that exits with a code of its own. */
async function exitNext() {
  (await source.running()).end(report({ exitCode: 3, result: Buffer.alloc(0) }));
}
const settled = (id: string) => expect.poll(async () => (await queue.get(id))?.outcome?.status);

test('an asynchronous invocation is run again after an outcome that its function names', async () => {
  await set({ retry });
  startWorker();
  const id = newInvocationId();
  const first = exitNext();
  await queue.enqueue(id, request);
  await first;
  (await source.running()).end(report({ result: Buffer.from('{"type":"result","value":7}') }));
  await settled(id).toBe('ok');
  expect(await queue.get(id)).toMatchObject({ attempt: 2, outcome: { status: 'ok', result: 7 } });
  expect(await queue.deadLetters.list('default', { limit: 10 })).toEqual([]);
});

test('between two runs the record is queued and says which run it waits for, and can be cancelled', async () => {
  await set({ retry: { ...retry, backoffMs: 60_000, backoffMaxMs: 60_000 } });
  startWorker();
  const id = newInvocationId();
  const first = exitNext();
  await queue.enqueue(id, request);
  await first;
  await expect.poll(() => queue.get(id)).toMatchObject({ status: 'queued', attempt: 2 });
  expect(await queue.waiting()).toBe(1);
  expect(await queue.cancel(id)).toMatchObject({ outcome: { status: 'cancelled' } });
  expect(await queue.waiting()).toBe(0);
});

test('what was cancelled while it ran is not run again after an outcome that its function names', async () => {
  await set({ retry });
  startWorker();
  const id = newInvocationId();
  const running = source.running();
  await queue.enqueue(id, request);
  const sandbox = await running;
  expect((await queue.cancel(id))?.status).toBe('running');
  sandbox.end(report({ exitCode: 3, result: Buffer.alloc(0) }));
  await settled(id).toBe('cancelled');
  expect(await queue.get(id)).toMatchObject({ status: 'done', attempt: 1, stdout: 'out\n' });
  expect(source.leased).toHaveLength(1);
  expect(await queue.deadLetters.list('default', { limit: 10 })).toEqual([]);
});

test('what was cancelled while it was started is not started again', async () => {
  const id = newInvocationId();
  source.lease = async () => {
    expect((await queue.cancel(id))?.status).toBe('running');
    throw new Error('no room in the pool');
  };
  startWorker();
  await queue.enqueue(id, request);
  await settled(id).toBe('cancelled');
  expect(await queue.get(id)).toMatchObject({ status: 'done', attempt: 1 });
});

test('after the last run the outcome is the record, and the invocation a dead letter', async () => {
  await set({ retry });
  startWorker();
  const id = newInvocationId();
  const all = (async () => {
    for (let run = 0; run < 3; run++) await exitNext();
  })();
  await queue.enqueue(id, request);
  await all;
  await settled(id).toBe('exited');
  expect(await queue.get(id)).toMatchObject({ attempt: 3, outcome: { exitCode: 3 } });
  expect(source.leased).toHaveLength(3);
  const letters = await queue.deadLetters.list('default', { limit: 10 });
  expect(letters).toMatchObject([
    { id, function: 'f', attempts: 3, invocation: { outcome: { status: 'exited' } } },
  ]);
});

test('who ends lets in who is held, before anybody sweeps, and costs nothing where there is no cap', async () => {
  await set({ concurrency: 1 });
  startWorker({ intervalMs: 600_000 });
  const ids = [newInvocationId(), newInvocationId(), newInvocationId()];
  const ok = () => report({ result: Buffer.from('{"type":"result","value":7}') });
  let running = source.running();
  for (const id of ids) await queue.enqueue(id, request);
  for (const id of ids) {
    const sandbox = await running;
    running = source.running();
    sandbox.end(ok());
    await settled(id).toBe('ok');
  }
  await expect.poll(() => redis.redis.keys('oncebox:slots:*')).toEqual([]);

  const scripts = async () => /cmdstat_eval:calls=(\d+)/.exec(await redis.redis.info('commandstats'))?.[1];
  await set({});
  const before = await scripts();
  const id = newInvocationId();
  await queue.enqueue(id, request);
  (await running).end(ok());
  await settled(id).toBe('ok');
  expect(await scripts()).toBe(before);
});

test('a full Redis keeps the dead letter, and drops what is older', async () => {
  startWorker();
  const id = newInvocationId();
  const running = source.running();
  await queue.enqueue(id, request);
  const sandbox = await running;
  const { redis: connection } = redis;
  await connection.set(cancelledKey('old'), Buffer.alloc(16 * 1024 * 1024));
  await connection.zadd(cancelledIndexKey, 1, 'old');
  const used = Number(/^used_memory:(\d+)/m.exec(await connection.info('memory'))?.[1]);
  await connection.config('SET', 'maxmemory', String(used - 8 * 1024 * 1024));
  undo.push(() => connection.config('SET', 'maxmemory', '0'));
  await expect(connection.set('x', 'y')).rejects.toThrow(/OOM/);
  sandbox.end(report({ exitCode: 3, result: Buffer.alloc(0) }));
  await settled(id).toBe('exited');
  expect(await queue.deadLetters.list('default', { limit: 10 })).toMatchObject([{ id }]);
});

test('a caller who waits gets the first outcome, and it is no dead letter', async () => {
  await set({ retry });
  startWorker();
  const first = exitNext();
  const finished = queue.enqueueAndWait(newInvocationId(), request, { timeoutMs: 120_000 });
  await first;
  expect(await finished).toMatchObject({ attempt: 1, outcome: { status: 'exited' } });
  expect(await queue.deadLetters.list('default', { limit: 10 })).toEqual([]);
});

test('other outcomes are not run again, and no dead letter is kept where the function wants none', async () => {
  await set({ retry: { ...retry, on: ['timeout'] }, deadLetter: false });
  startWorker();
  const id = newInvocationId();
  const first = exitNext();
  await queue.enqueue(id, request);
  await first;
  await settled(id).toBe('exited');
  expect(source.leased).toHaveLength(1);
  expect(await queue.deadLetters.list('default', { limit: 10 })).toEqual([]);
});

test('what could not be started is tried again, and runs once it can be', async () => {
  const lease = source.lease.bind(source);
  source.lease = async () => {
    source.lease = lease;
    throw new Error('no room in the pool');
  };
  startWorker();
  const running = source.running();
  const finished = queue.enqueueAndWait(newInvocationId(), request, { timeoutMs: 120_000 });
  (await running).end(report({ result: Buffer.from('{"type":"result","value":1}') }));
  expect(await finished).toMatchObject({ attempt: 1, outcome: { status: 'ok' } });
});

/** Enqueues it, and kills its worker while it runs. */
async function killWorkerOf(id: string, asked: InvocationRequest, beforehand = async () => {}) {
  const doomed = startDoomedWorker(redis.url);
  undo.push(doomed.kill);
  await queue.enqueue(id, asked);
  await doomed.running();
  await beforehand();
  await doomed.kill();
}

test('an invocation that was cancelled, and its worker killed, is not run again, and its end is told once', async () => {
  await set({ retry: { ...retry, on: ['lost'] } });
  const id = newInvocationId();
  await killWorkerOf(id, { ...request, callback: { url: 'https://example.com/' } }, async () => {
    expect((await queue.cancel(id))?.status).toBe('running');
  });
  const told: unknown[] = [];
  startWorker({ callbacks: { finished: async ({ outcome }) => void told.push(outcome) } });
  await settled(id).toBe('cancelled');
  expect(await queue.get(id)).toMatchObject({ status: 'done', attempt: 1 });
  expect(await queue.deadLetters.list('default', { limit: 10 })).toEqual([]);
  // The worker's: all that it had begun is over then.
  await undo.pop()?.();
  expect(told).toEqual([{ status: 'cancelled' }]);
  expect(source.leased).toHaveLength(0);
});

test('an invocation whose worker was killed runs again where its function names lost, and ends once', async () => {
  await set({ retry: { ...retry, on: ['lost'] } });
  const id = newInvocationId();
  await killWorkerOf(id, request);
  startWorker();
  (await source.running()).end(report({ result: Buffer.from('{"type":"result","value":2}') }));
  await settled(id).toBe('ok');
  expect(await queue.get(id)).toMatchObject({ attempt: 2, status: 'done' });
  expect(source.leased).toHaveLength(1);
});

test('only so many dead letters are kept, the newest', async () => {
  startWorker();
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) {
    const id = newInvocationId();
    ids.push(id);
    const next = exitNext();
    await queue.enqueue(id, request);
    await next;
    await settled(id).toBe('exited');
  }
  const letters = await queue.deadLetters.list('default', { limit: 10 });
  expect(letters.map(({ id }) => id)).toEqual(ids.slice(2).reverse());
  expect(await redis.redis.keys('oncebox:dead:*')).toHaveLength(3);
});

test('what was sent to an interactive invocation goes with it, though its program never began', async () => {
  const id = newInvocationId();
  const input = await queue.inputs.open(id, 'default');
  await input.write(Buffer.from('for nobody'));
  source.failure = new Error('there is no sandbox');
  await queue.enqueue(id, { ...request, interactive: true, isAwaited: true });
  expect(await redis.redis.keys(`oncebox:input*${id}*`)).not.toEqual([]);
  startWorker();
  await settled(id).toBe('lost');
  await expect.poll(() => redis.redis.keys(`oncebox:input*${id}*`)).toEqual([]);
});
