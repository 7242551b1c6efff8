import { expect, test } from 'vitest';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { findLanguage } from '../../services/languages/find-language.ts';
import { languageImage } from '../../services/languages/language.ts';
import { idempotencyOf } from '../../services/queue/idempotency.ts';
import { createInvocationQueue } from '../../services/queue/invocation-queue.ts';
import { queueKey } from '../../services/queue/job.ts';
import { finished, gate, useGateway } from '../support/gateway.ts';
import { announce, describedImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_QUEUE_MAX: '3', ONCEBOX_RECORDS_KEPT: '5' });

const run = (code: string, headers: Record<string, string>, signal?: AbortSignal) =>
  gateway.postJson('/v1/run', { runtime: 'node', code }, { headers, ...(signal && { signal }) });
const asynchronous = { prefer: 'respond-async' };
const idOf = (response: Response) => response.headers.get('oncebox-invocation-id');

test('requests at once with one key are one invocation', async () => {
  const responses = await Promise.all(
    Array.from({ length: 20 }, () => run('1', { ...asynchronous, 'idempotency-key': 'k' })),
  );
  expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([202]));
  expect(new Set(responses.map(idOf)).size).toBe(1);
  expect(await gateway.queue.waiting()).toBe(1);
});

test('a second request with the key waits for the first one, also at another gateway', async () => {
  const mayEnd = gate();
  let runs = 0;
  await gateway.startWorker(async (job) => {
    runs += 1;
    await mayEnd.opened;
    return finished(job, { stdout: 'once' });
  });
  const headers = { 'idempotency-key': 'k' };
  const first = run('1', headers);
  await expect.poll(() => runs).toBe(1);
  const second = run('1', headers);
  const third = await run('1', { ...headers, ...asynchronous });
  expect(await third.json()).toMatchObject({ status: 'running' });
  mayEnd.open();
  const [a, b] = (await Promise.all([(await first).json(), (await second).json()])) as { id: string }[];
  expect(a).toMatchObject({ stdout: 'once' });
  expect(b).toEqual(a);
  expect(runs).toBe(1);
});

test('the same key with another body is refused', async () => {
  const headers = { ...asynchronous, 'idempotency-key': 'k' };
  await run('1', headers);
  const other = await run('2', headers);
  expect(other.status).toBe(422);
  expect(await other.json()).toMatchObject({
    error: { code: 'idempotency_mismatch', field: 'idempotency-key' },
  });
});

test('the same key with another source, or other caps for its compiler, is refused', async () => {
  const language = findLanguage('c');
  if (!language) throw new Error('there is no C');
  const node = await announce(redis.redis, [describedImage(languageImage(language))], 'compiles');
  gateway.undo.push(() => node.leave());
  const headers = { ...asynchronous, 'idempotency-key': 'k' };
  const compile = (code: string, compileLimits = {}) =>
    gateway.postJson('/v1/run', { language: 'c', code, compileLimits }, { headers });
  const first = await compile('int main() { return 1; }');
  expect(first.status).toBe(202);
  expect(idOf(await compile('int main() { return 1; }'))).toBe(idOf(first));
  for (const other of [
    await compile('int main() { return 2; }'),
    await compile('int main() { return 1; }', { wallMs: 1_000 }),
  ])
    expect([other.status, await other.json()]).toMatchObject([
      422,
      { error: { code: 'idempotency_mismatch' } },
    ]);
});

test('the same key with another version or alias is refused; with the same name it is one call across deploys', async () => {
  const path = '/v1/functions/f';
  const deploy = async (code: string) => {
    const files = [{ path: 'index.js', content: code }];
    await gateway.postJson(path, { runtime: 'node', handler: 'index.handler', files }, { method: 'PUT' });
  };
  await deploy('exports.handler = () => 1;');
  for (const alias of ['prod', 'dev'])
    await gateway.postJson(`${path}/aliases/${alias}`, { version: 1 }, { method: 'PUT' });
  const call = (reference: string, key: string) =>
    gateway.postJson(
      `/v1/functions/${reference}/invoke`,
      { n: 7 },
      { headers: { ...asynchronous, 'idempotency-key': key } },
    );
  const [bare, prod] = [await call('f', 'bare'), await call('f:prod', 'prod')];
  expect([bare.status, prod.status]).toEqual([202, 202]);
  await deploy('exports.handler = () => 2;');
  await gateway.postJson(`${path}/aliases/prod`, { version: 2 }, { method: 'PUT' });
  expect(idOf(await call('f', 'bare'))).toBe(idOf(bare));
  expect(idOf(await call('f:prod', 'prod'))).toBe(idOf(prod));
  const others = [
    await call('f:1', 'bare'),
    await call('f:prod', 'bare'),
    await call('f:dev', 'prod'),
    await call('f', 'prod'),
  ];
  expect(others.map(({ status }) => status)).toEqual([422, 422, 422, 422]);
});

test('who hangs up does not cancel an invocation that has a key', async () => {
  const mayEnd = gate();
  const begun = gate();
  await gateway.startWorker(async (job, cancelled) => {
    begun.open();
    await mayEnd.opened;
    return finished(job, { stdout: cancelled.aborted ? 'cancelled' : 'went on' });
  });
  const caller = new AbortController();
  const gone = run('1', { 'idempotency-key': 'k' }, caller.signal);
  await begun.opened;
  caller.abort();
  mayEnd.open();
  await gone;
  const again = await run('1', { 'idempotency-key': 'k' });
  expect(await again.json()).toMatchObject({ stdout: 'went on' });
});

test('who hangs up ends the wait for an earlier request with his key, and not that request', async () => {
  const [first, second] = [asked('inv_a'), asked('inv_b')];
  await gateway.queue.enqueue(first.id, first.request, first.idempotency);
  const caller = new AbortController();
  const waiting = gateway.queue.enqueueAndWait(second.id, second.request, {
    timeoutMs: 600_000,
    signal: caller.signal,
    idempotency: second.idempotency,
    added: () => setImmediate(() => caller.abort()),
  });
  await expect(waiting).rejects.toMatchObject({
    code: 'result_pending',
    details: { invocationId: first.id },
  });
  expect(await gateway.queue.get(first.id)).toMatchObject({ status: 'queued' });
});

test('a request that is refused leaves its key free', async () => {
  const first = await run('0', asynchronous);
  for (let i = 0; i < 2; i++) await run('0', asynchronous);
  const headers = { ...asynchronous, 'idempotency-key': 'k' };
  expect((await run('1', headers)).status).toBe(429);
  await gateway.queue.cancel(idOf(first) ?? '');
  expect((await run('1', headers)).status).toBe(202);
});

test('a key whose record is gone does not run again', async () => {
  await gateway.startWorker(async (job) => finished(job));
  const headers = { 'idempotency-key': 'k' };
  const first = await run('1', headers);
  await redis.redis.del(queueKey(idOf(first) ?? ''));
  const again = await run('1', headers);
  expect(again.status).toBe(404);
  expect(await again.json()).toMatchObject({
    error: { code: 'invocation_not_found', invocationId: idOf(first) },
  });
});

test('a key must be visible ASCII of at most 255 characters', async () => {
  for (const key of ['a b', 'x'.repeat(256), '']) {
    const response = await run('1', { 'idempotency-key': key });
    expect([key, response.status]).toEqual([key, 400]);
  }
  expect((await run('1', { ...asynchronous, 'idempotency-key': 'x'.repeat(255) })).status).toBe(202);
});

test('two gateways that get a key at the same moment make one invocation', async () => {
  const other = await createInvocationQueue({
    redis: redis.connect(),
    subscriber: redis.connect(),
    ...{ queueMax: 3, recordsKept: 5, recordsKeptMs: 60_000 },
    onError: (error) => {
      throw error;
    },
  });
  gateway.undo.push(() => other.close());
  const [{ id, request, idempotency }, second] = [asked('inv_a'), asked('inv_b')];
  const ids = await Promise.all([
    gateway.queue.enqueue(id, request, idempotency),
    other.enqueue(second.id, request, idempotency),
  ]);
  expect(ids[0]).toBe(ids[1]);
  expect(await gateway.queue.waiting()).toBe(1);
});

function asked(id: string) {
  const request = {
    tenant: 'default',
    runtime: 'node' as const,
    program: { kind: 'snippet' as const, files: [], entry: 'a.js', args: [], env: {} },
    stdin: '',
    limits: defaultLimits(),
  };
  return { id, request, idempotency: idempotencyOf('default', 'k', request) };
}
