import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SandboxLostError } from '../../runtime/sandbox/sandbox.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { createInvocationQueue, type InvocationQueue } from '../../services/queue/invocation-queue.ts';
import { cancelChannel, type InvocationJob } from '../../services/queue/job.ts';
import { MemoryCapacity } from '../../services/worker/capacity.ts';
import { createInvocationWorker } from '../../services/worker/invocation-worker.ts';
import { listSandboxes } from '../../services/worker/list-sandboxes.ts';
import type { NodeImage } from '../../services/worker/node-images.ts';
import type { PrepareJob } from '../../services/worker/prepare-job.ts';
import { createDiffRecorder } from '../../services/worker/record-diff.ts';
import { Runs } from '../../services/worker/runs.ts';
import { FakeSandbox, report } from '../pool/fake-sandbox.ts';
import { useRedis } from '../support/redis.ts';
import { FakeSource, prepareAsIs } from './fake-source.ts';
import { startDoomedWorker } from './start-doomed-worker.ts';

const MiB = 1024 * 1024;
const redis = useRedis();
const undo: (() => unknown)[] = [];
const patience = { timeout: 60_000, interval: 20 };
let queue: InvocationQueue;
let source: FakeSource;
let runs: Runs;
let worker: ReturnType<typeof createInvocationWorker>;

beforeEach(async () => {
  queue = await createInvocationQueue({
    redis: redis.redis,
    subscriber: redis.connect(),
    queueMax: 100,
    recordsKept: 100,
    recordsKeptMs: 60_000,
    onError: (error) => {
      throw error;
    },
  });
  source = new FakeSource();
  undo.push(() => queue.close());
});

afterEach(async () => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
});

async function startWorker({
  memoryBytes = 1024 * MiB,
  prepare = prepareAsIs,
  stalled = { lockDurationMs: 300, intervalMs: 100 },
} = {}) {
  runs = new Runs();
  const subscriber = redis.connect();
  subscriber.on('message', (_, id) => runs.cancel(id));
  await subscriber.subscribe(cancelChannel);
  const capacity = new MemoryCapacity(memoryBytes);
  worker = createInvocationWorker({
    recordsKept: { count: 100, ms: 60_000 },
    redis: redis.redis,
    concurrency: 8,
    deadLetters: { kept: 10, keptMs: 60_000 },
    deps: {
      source,
      capacity,
      runs,
      prepare,
      recordDiff: createDiffRecorder({ redis: redis.redis, maxBytes: 2048, keepMs: 60_000 }),
      logger: pino({ level: 'silent' }),
    },
    stalled,
  });
  void worker.run();
  undo.push(async () => {
    runs.abortAll();
    await worker.close();
  });
}

const snippet: Omit<InvocationJob, 'replyTo'> = {
  tenant: 'default',
  runtime: 'node',
  function: undefined,
  program: {
    kind: 'snippet',
    files: [{ path: 'index.js', content: '1', encoding: 'utf8' }],
    entry: 'index.js',
    args: [],
    env: {},
  },
  stdin: 'in',
  limits: defaultLimits(),
};

let ids = 0;
function invoke(request: Omit<InvocationJob, 'replyTo'> = snippet) {
  const id = `test-${++ids}`;
  return { id, finished: queue.enqueueAndWait(id, request, { timeoutMs: 120_000 }) };
}

test('an invocation runs in a leased sandbox and its record says how that went', async () => {
  await startWorker();
  const running = source.running();
  const { id, finished } = invoke();
  const sandbox = await running;
  expect(sandbox.runs).toMatchObject([{ program: snippet.program, limits: snippet.limits }]);
  expect(Buffer.from(sandbox.runs[0]?.stdin ?? []).toString()).toBe('in');
  sandbox.end();
  expect(await finished).toMatchObject({
    id,
    status: 'done',
    outcome: { status: 'ok' },
    start: 'warm',
    image: { digest: 'sha256:base' },
    timings: { startMs: 0.1, runMs: 2 },
    usage: {
      ...{ cpuMs: 1.5, cpuUserMs: 1, cpuSystemMs: 0.5, throttledMs: 0, wallMs: 2 },
      ...{ memoryPeakBytes: 4096, writtenBytes: 4096 },
    },
    stdout: 'out\n',
  });
});

test('whoever is woken by the result and reads the record finds it finished', async () => {
  await startWorker();
  for (let round = 0; round < 20; round++) {
    const running = source.running();
    const { id, finished } = invoke();
    (await running).end();
    const result = await finished;
    expect(await queue.get(id)).toEqual(result);
  }
});

test('a handler sees a deadline that counts from its start', async () => {
  await startWorker();
  const running = source.running();
  const beforeMs = Date.now();
  const { finished } = invoke({
    ...snippet,
    program: {
      kind: 'handler',
      handler: 'index.handler',
      eventJson: '{}',
      context: { invocationId: 'x', functionName: 'f', functionVersion: '1', deadlineMs: 0 },
      env: {},
    },
  });
  const sandbox = await running;
  const program = sandbox.runs[0]?.program;
  const startMs = program?.kind === 'handler' && program.context.deadlineMs - snippet.limits.wallMs;
  expect(startMs).toBeGreaterThanOrEqual(beforeMs);
  expect(startMs).toBeLessThanOrEqual(Date.now());
  sandbox.end(report({ result: Buffer.from('{"type":"result","value":7}') }));
  expect((await finished).outcome).toEqual({ status: 'ok', result: 7 });
});

test('a malformed job is lost, with the reason', async () => {
  await startWorker();
  const { finished } = invoke({ ...snippet, runtime: 'cobol' as 'node' });
  const { status, outcome } = await finished;
  expect(status).toBe('failed');
  expect(outcome).toMatchObject({ status: 'lost', reason: expect.stringContaining('runtime') });
});

test('a sandbox lost while it runs makes the invocation lost, and the program is not run again', async () => {
  await startWorker();
  const running = source.running();
  const { finished } = invoke();
  (await running).lose('the zone is gone');
  expect((await finished).outcome).toEqual({ status: 'lost', reason: 'the zone is gone' });
  expect(source.leased).toHaveLength(1);
});

test('a sandbox that died before it got the program is replaced by another', async () => {
  const stillborn = new FakeSandbox();
  stillborn.lose();
  source.next.push(stillborn);
  await startWorker();
  const running = source.running();
  const { finished } = invoke();
  (await running).end();
  expect((await finished).outcome).toEqual({ status: 'ok' });
  expect(stillborn.runs).toEqual([]);
});

test('an invocation for which no sandbox can be made is lost, with the reason', async () => {
  source.failure = new SandboxLostError('no zone');
  await startWorker();
  expect((await invoke().finished).outcome).toEqual({
    status: 'lost',
    reason: 'it could not be started: no zone',
  });
});

test('an invocation whose code layer cannot be had is lost, and its memory is given back', async () => {
  const prepare: PrepareJob = async (job) => {
    if (job.codeLayer !== undefined) throw new Error('layer gone');
    return prepareAsIs(job);
  };
  await startWorker({ prepare, memoryBytes: snippet.limits.memoryBytes });
  const codeLayer = 'a'.repeat(64);
  const { outcome } = await invoke({ ...snippet, codeLayer }).finished;
  expect(outcome).toEqual({ status: 'lost', reason: 'it could not be started: layer gone' });
  const running = source.running();
  const { finished } = invoke();
  (await running).end();
  expect((await finished).outcome).toEqual({ status: 'ok' });
});

test('the memory caps of what runs at once stay within the node', async () => {
  await startWorker({ memoryBytes: 2 * snippet.limits.memoryBytes });
  const [one, two] = [source.running(), source.running()];
  const results = [invoke(), invoke(), invoke()].map(({ finished }) => finished);
  const first = await one;
  await two;
  expect(source.leased).toHaveLength(2);
  const three = source.running();
  first.end();
  await three;
  for (const sandbox of source.leased) sandbox.end();
  expect((await Promise.all(results)).map(({ outcome }) => outcome?.status)).toEqual(['ok', 'ok', 'ok']);
});

test('more memory than the node has is lost, with the reason', async () => {
  await startWorker({ memoryBytes: 64 * MiB });
  const { outcome } = await invoke().finished;
  expect(outcome).toMatchObject({ status: 'lost', reason: expect.stringContaining('67108864') });
});

test('a cancelled invocation is killed and says so', async () => {
  await startWorker();
  const running = source.running();
  const { id, finished } = invoke();
  const sandbox = await running;
  expect((await queue.cancel(id))?.status).toBe('running');
  expect((await finished).outcome).toEqual({ status: 'cancelled' });
  expect(sandbox.state).toBe('dead');
});

test('a full Redis does not keep a cancel from what runs', async () => {
  await startWorker();
  const running = source.running();
  const { id, finished } = invoke();
  const sandbox = await running;
  await redis.redis.config('SET', 'maxmemory', '1');
  try {
    expect((await queue.cancel(id))?.status).toBe('running');
    await sandbox.dead;
  } finally {
    await redis.redis.config('SET', 'maxmemory', '0');
  }
  expect((await finished).outcome).toEqual({ status: 'cancelled' });
});

test('a cancelled invocation that waits for memory never starts', async () => {
  await startWorker({ memoryBytes: snippet.limits.memoryBytes });
  const running = source.running();
  const first = invoke();
  const sandbox = await running;
  const active = new Promise((resolve) => worker.once('active', resolve));
  const second = invoke();
  await active;
  await queue.cancel(second.id);
  expect((await second.finished).outcome).toEqual({ status: 'cancelled' });
  sandbox.end();
  await first.finished;
  expect(source.leased).toHaveLength(1);
});

test('a cancel that overtakes its job is not forgotten', async () => {
  await startWorker();
  runs.cancel(`test-${ids + 1}`);
  expect((await invoke().finished).outcome).toEqual({ status: 'cancelled' });
});

test('a worker that stops gives back what it has not started and reports what it killed', async () => {
  await startWorker({ memoryBytes: snippet.limits.memoryBytes });
  const running = source.running();
  const first = invoke();
  await running;
  const active = new Promise((resolve) => worker.once('active', resolve));
  const second = invoke();
  await active;
  const closed = worker.close();
  runs.drain();
  runs.abortAll();
  await closed;
  expect((await first.finished).outcome).toEqual({
    status: 'lost',
    reason: 'the node shut down while it ran',
  });
  expect((await queue.get(second.id))?.status).toBe('queued');
  const again = source.running();
  await startWorker();
  (await again).end();
  expect((await second.finished).outcome).toEqual({ status: 'ok' });
});

test('the invocation of a worker that is killed is lost, once, and nobody runs it again', async () => {
  const doomed = startDoomedWorker(redis.url);
  undo.push(doomed.kill);
  const { id, finished } = invoke();
  await doomed.running();
  await doomed.kill();
  await startWorker();
  expect(await finished).toMatchObject({ id, status: 'failed', outcome: { status: 'lost' } });
  expect(await queue.get(id)).toMatchObject({ status: 'failed', outcome: { status: 'lost' } });
  expect(source.leased).toHaveLength(0);
});

test('a result that Redis refuses is kept until Redis takes it, also past the end of its lock', async () => {
  await startWorker();
  const running = source.running();
  const { id, finished } = invoke();
  const sandbox = await running;
  // Every write is refused, as on a full disk.
  await redis.redis.config('SET', 'min-replicas-to-write', '1');
  try {
    const refused = new Promise((resolve) => worker.once('error', resolve));
    sandbox.end();
    await refused;
    const lock = `oncebox:invocations:${id}:lock`;
    await vi.waitFor(async () => expect(await redis.redis.exists(lock)).toBe(0), patience);
  } finally {
    await redis.redis.config('SET', 'min-replicas-to-write', '0');
  }
  expect(await finished).toMatchObject({ id, outcome: { status: 'ok' } });
  expect(await queue.get(id)).toMatchObject({ outcome: { status: 'ok' } });
});

test('jobs that run on while Redis stands still for longer than a lock end as they do', async () => {
  await startWorker({ stalled: { lockDurationMs: 1_000, intervalMs: 300 } });
  const server = Number(/^process_id:(\d+)/m.exec(await redis.redis.info('server'))?.[1]);
  const jobs = Array.from({ length: 8 }, () => ({ running: source.running(), ...invoke() }));
  const sandboxes = await Promise.all(jobs.map(({ running }) => running));
  for (let outage = 0; outage < 3; outage++) {
    // Long enough for every job to be among those that the next check looks at.
    await delay(700);
    process.kill(server, 'SIGSTOP');
    await delay(1_500);
    process.kill(server, 'SIGCONT');
  }
  await delay(1_000);
  for (const sandbox of sandboxes) sandbox.end();
  for (const { finished } of jobs) expect((await finished).outcome).toEqual({ status: 'ok' });
});

test('a job whose taking never reached the worker is run after all', async () => {
  await startWorker({ stalled: { lockDurationMs: 60_000, intervalMs: 100 } });
  // As many as it runs at once, so that it does not take the next one itself.
  const others = Array.from({ length: 8 }, () => ({ running: source.running(), ...invoke() }));
  const sandboxes = await Promise.all(others.map(({ running }) => running));
  const { id, finished } = invoke();
  await vi.waitFor(async () => expect((await queue.get(id))?.status).toBe('queued'), patience);
  // Redis has given it to this worker, and the reply was lost with the connection.
  await worker.backend.moveToActive(`${worker.id}:lost`);
  expect((await queue.get(id))?.status).toBe('running');
  const running = source.running();
  redis.redis.disconnect(true);
  await vi.waitFor(async () => expect((await queue.get(id))?.status).toBe('queued'), patience);
  for (const sandbox of sandboxes) sandbox.end();
  (await running).end();
  expect((await finished).outcome).toEqual({ status: 'ok' });
  await Promise.all(others.map((other) => other.finished));
});

test('the list of sandboxes names the invocation in each', async () => {
  await startWorker();
  const running = source.running();
  const { id, finished } = invoke();
  const sandbox = await running;
  const images = { find: async () => ({ reference: 'localhost/node:latest', sizeBytes: 100 }) as NodeImage };
  expect(await listSandboxes(source, runs, images, 'node-1')).toMatchObject([
    {
      id: sandbox.id,
      state: 'running',
      runtime: 'node',
      invocationId: id,
      start: 'warm',
      memoryBytes: 1,
      writableBytes: 3,
      virtualBytes: 103,
      image: { digest: 'sha256:base', reference: 'localhost/node:latest' },
      node: 'node-1',
    },
  ]);
  sandbox.end();
  await finished;
});
