import { beforeEach, expect, test } from 'vitest';
import { errorStatus } from '../../sdk/contract/error.ts';
import { type Outcome, outcomeSchema } from '../../sdk/contract/outcome.ts';
import type { InvocationJob } from '../../services/queue/job.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { nodeImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

beforeEach(async () => {
  await gateway.registry.deploy({
    image: { ...nodeImage, reference: 'localhost/node:latest' },
    name: 'hello',
    runtime: 'node',
    handler: 'index.handler',
    env: { A: 'b' },
    limits: { wallMs: 500 },
    files: [{ path: 'index.js', data: Buffer.from('exports.handler = (e) => e') }],
  });
});

const invoke = (body: string, init?: RequestInit) =>
  gateway.postJson('/v1/functions/hello/invoke', body, init);

test('the event is handed on as it came and the result is the reply', async () => {
  const jobs: InvocationJob[] = [];
  await gateway.startWorker(async (job) => {
    jobs.push(job.data);
    return finished(job, { outcome: { status: 'ok', result: { n: [1, null] } } });
  });
  const response = await invoke('{ "big": 12345678901234567890 }');
  expect([response.status, await response.json()]).toEqual([200, { n: [1, null] }]);
  expect(response.headers.get('oncebox-start')).toBe('warm');
  const id = response.headers.get('oncebox-invocation-id');
  const version = await gateway.registry.resolve('hello');
  expect(jobs[0]).toMatchObject({
    runtime: 'node',
    codeLayer: version.codeLayer,
    imageDigest: version.digest,
    function: { name: 'hello', version: 1, digest: version.digest },
    limits: { wallMs: 500 },
    program: {
      kind: 'handler',
      handler: 'index.handler',
      eventJson: '{ "big": 12345678901234567890 }',
      context: { invocationId: id, functionName: 'hello', functionVersion: '1' },
      env: { A: 'b' },
    },
  });
});

test('no body is the event null, and no result the reply null', async () => {
  await gateway.startWorker(async (job) => {
    const { program } = job.data;
    const event = program.kind === 'handler' ? program.eventJson : 'a snippet';
    return finished(job, { outcome: event === 'null' ? { status: 'ok' } : { status: 'ok', result: event } });
  });
  expect(await (await invoke('')).json()).toBe(null);
});

test.each<Outcome>([
  { status: 'function_error', name: 'TypeError', message: 'x is not a function', stack: 'at …' },
  { status: 'exited', exitCode: 1 },
  { status: 'signaled', signal: 'SIGSEGV' },
  { status: 'timeout', limit: 'cpu', ms: 100, usedMs: 100 },
  { status: 'oom_killed', memoryMaxBytes: 1, memoryPeakBytes: 1 },
  { status: 'limit_exceeded', limit: 'pids', max: 4, peak: 4 },
  { status: 'cancelled' },
  { status: 'lost', reason: 'the zone died' },
])('the outcome $status is an error of that code', async (outcome) => {
  await gateway.startWorker(async (job) => finished(job, { outcome }));
  const response = await invoke('{}');
  const code = outcome.status as Exclude<Outcome['status'], 'ok'>;
  expect(response.status).toBe(errorStatus[code]);
  const invocationId = response.headers.get('oncebox-invocation-id');
  expect(await response.json()).toMatchObject({ error: { code, invocationId, outcome } });
});

test('every outcome but ok has a status in the error table', () => {
  const statuses = outcomeSchema.options.map((option) => option.shape.status.value);
  for (const status of statuses) if (status !== 'ok') expect(errorStatus[status]).toBeGreaterThanOrEqual(400);
});

test('an unknown function is a 404 with nothing enqueued, asynchronous or not', async () => {
  for (const headers of [{}, { prefer: 'respond-async' }]) {
    const response = await gateway.postJson('/v1/functions/nobody/invoke', {}, { headers });
    expect([response.status, await response.json()]).toMatchObject([
      404,
      { error: { code: 'function_not_found' } },
    ]);
  }
  expect(await gateway.queue.waiting()).toBe(0);
  expect(await redis.redis.keys('oncebox:invocations:inv_*')).toEqual([]);
});

test('an event that is not JSON is a 400', async () => {
  const response = await invoke('{');
  expect([response.status, await response.json()]).toMatchObject([400, { error: { field: 'body' } }]);
});

test('asynchronously it is a 202 and the record names the function', async () => {
  const response = await invoke('{}', { headers: { prefer: 'respond-async' } });
  expect([response.status, await response.json()]).toMatchObject([
    202,
    { status: 'queued', function: { name: 'hello', version: 1 } },
  ]);
});
