import { createHmac } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { Queue } from 'bullmq';
import { beforeEach, expect, test, vi } from 'vitest';
import type { CallbackSecret, CallbackState } from '../../sdk/contract/callback.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { addressRule } from '../../services/callbacks/address-rules.ts';
import { type Callbacks, createCallbacks } from '../../services/callbacks/callbacks.ts';
import { startDelivering } from '../../services/callbacks/deliver.ts';
import { startFindingEnds } from '../../services/callbacks/find-ends.ts';
import { createPoster } from '../../services/callbacks/post.ts';
import { createCallbackSecrets } from '../../services/callbacks/secrets.ts';
import { queueKey } from '../../services/queue/job.ts';
import { forgotten } from '../../services/queue/result-channel.ts';
import { createLogger } from '../../services/shared/logger.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { type Received, useReceiver } from '../support/receiver.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_RECORDS_KEPT: '2' });
const receiver = useReceiver();
let callbacks: Callbacks;

/** A gateway's part in delivering, with short pauses between the attempts; gone after the test. */
const settledAs: string[] = [];
function deliver({ allowed = '127.0.0.0/8', lookup }: { allowed?: string; lookup?: LookupFunction } = {}) {
  const connection = redis.connect();
  // An attempt is not to come to nothing because a busy machine is slow.
  const poster = createPoster(addressRule(allowed), lookup, 10 * 60_000);
  const logger = createLogger('silent', 'test');
  const secrets = createCallbackSecrets(connection);
  const onSettled = (status: string) => void settledAs.push(status);
  const delivering = startDelivering({ redis: connection, callbacks, secrets, poster, onSettled, logger });
  gateway.undo.push(async () => {
    await delivering.close();
    await poster.close();
    connection.disconnect();
  });
}

beforeEach(() => {
  const kept = { count: 100, ms: 60_000 };
  const retries = { attempts: 3, firstMs: 20 };
  callbacks = createCallbacks({ redis: redis.connect(), kept, retries });
  gateway.undo.push(() => callbacks.close());
});

function findEnds() {
  const { queue } = gateway;
  const onError = (error: unknown) => {
    throw error;
  };
  const finding = startFindingEnds({ callbacks, queue, onError });
  gateway.undo.push(() => finding.close());
}

async function expectAndFinish(id: string, url = receiver.url()): Promise<void> {
  await callbacks.expect(id, 'default', url);
  await callbacks.accepted(id);
  await callbacks.finished({ ...forgotten(id), status: 'done', outcome: { status: 'ok', result: 'ü' } });
}

const eventually = <T>(look: () => Promise<T> | T) => vi.waitFor(look, { timeout: 60_000, interval: 20 });
const settled = (id: string): Promise<CallbackState> =>
  eventually(async () => {
    const state = await callbacks.state(id);
    expect(state?.status).toMatch(/delivered|failed/);
    return state as CallbackState;
  });

function isSignedWith(secret: string, { headers, body }: Received): boolean {
  const [, t = ''] = /^t=(\d+),/.exec(String(headers['oncebox-signature'])) ?? [];
  expect(Math.abs(Number(t) - Date.now() / 1000)).toBeLessThan(60);
  const expected = createHmac('sha256', secret).update(`${t}.${body}`).digest('hex');
  return String(headers['oncebox-signature']).split(',').includes(`v1=${expected}`);
}

const snippet = { runtime: 'node', code: '' };
const async = (url: string) => ({ prefer: 'respond-async', 'oncebox-callback': url });

test('the finished record is sent, signed, and the record says that it was', async () => {
  deliver();
  findEnds();
  await gateway.startWorker(async (job) => finished(job, { stdout: 'hello' }));
  const accepted = await gateway.postJson('/v1/run', snippet, { headers: async(receiver.url('/done')) });
  expect(accepted.status).toBe(202);
  const { id } = (await accepted.json()) as Invocation;
  await settled(id);
  const [delivery] = receiver.received;
  expect(receiver.received).toHaveLength(1);
  expect(delivery).toMatchObject({
    path: '/done',
    headers: {
      'content-type': 'application/json',
      'oncebox-delivery': `cb-${id}`,
      'oncebox-invocation-id': id,
    },
  });
  const { callback, ...record } = (await (
    await gateway.app.request(`/v1/invocations/${id}`)
  ).json()) as Invocation;
  expect(JSON.parse(delivery?.body ?? '')).toEqual(record);
  expect(callback).toEqual({ url: receiver.url('/done'), status: 'delivered', attempts: 1, lastStatus: 204 });
  const { secret } = (await (await gateway.app.request('/v1/callback-secret')).json()) as CallbackSecret;
  expect(isSignedWith(secret, delivery as Received)).toBe(true);
  expect(isSignedWith(`${secret}a`, delivery as Received)).toBe(false);
});

test('a new secret signs at once, and for a day the one before does too', async () => {
  deliver();
  const read = async (method: string) =>
    (await (await gateway.app.request('/v1/callback-secret', { method })).json()) as CallbackSecret;
  const first = await read('GET');
  const second = await read('POST');
  expect(second.secret).not.toBe(first.secret);
  expect(Date.parse(second.previousUntil ?? '') - Date.now()).toBeGreaterThan(23 * 3_600_000);
  expect(await read('GET')).toEqual(second);
  await expectAndFinish('inv_a');
  await settled('inv_a');
  const [delivery] = receiver.received as [Received];
  expect([first, second].map(({ secret }) => isSignedWith(secret, delivery))).toEqual([true, true]);
});

test('what is not answered with 2xx is sent again, as the same delivery, till it is', async () => {
  deliver();
  const answers = [503, 302];
  receiver.answer = (_, response) => response.writeHead(answers.shift() ?? 200).end();
  await expectAndFinish('inv_a');
  expect(await settled('inv_a')).toMatchObject({ status: 'delivered', attempts: 3, lastStatus: 200 });
  const names = receiver.received.map(({ headers }) => headers['oncebox-delivery']);
  expect(names).toEqual(['cb-inv_a', 'cb-inv_a', 'cb-inv_a']);
});

test('after the last attempt it has failed, and the state says why', async () => {
  deliver();
  receiver.answer = (_, response) => response.writeHead(500).end();
  await expectAndFinish('inv_a');
  expect(await settled('inv_a')).toEqual({
    ...{ url: receiver.url(), status: 'failed', attempts: 3 },
    ...{ lastStatus: 500, lastError: 'the answer was 500' },
  });
});

test('where nobody listens, the state says that', async () => {
  deliver();
  await expectAndFinish('inv_a', 'http://127.0.0.1:1024/');
  expect(await settled('inv_a')).toMatchObject({
    status: 'failed',
    attempts: 3,
    lastError: expect.stringContaining('ECONNREFUSED'),
  });
});

test('an address that is not on the Internet is tried once and never again', async () => {
  deliver({ allowed: '' });
  await expectAndFinish('inv_a');
  expect(await settled('inv_a')).toMatchObject({
    ...{ status: 'failed', attempts: 1 },
    lastError: expect.stringContaining('ONCEBOX_CALLBACK_ALLOW'),
  });
  expect(receiver.received).toEqual([]);
});

test('what fails before it is sent has failed after the last attempt too, and the state says why', async () => {
  deliver();
  // Nothing that can be signed with.
  await redis.redis.set('oncebox:callback-secret:default', 'no hash');
  await expectAndFinish('inv_a');
  expect(await settled('inv_a')).toMatchObject({
    ...{ status: 'failed', attempts: 3 },
    lastError: expect.stringContaining('WRONGTYPE'),
  });
  expect(receiver.received).toEqual([]);
});

test('a delivery that cannot be read has failed', async () => {
  deliver();
  await callbacks.expect('inv_a', 'default', receiver.url());
  const queue = new Queue('callbacks', { connection: redis.connect(), prefix: 'oncebox' });
  await queue.add('deliver', { id: 'inv_a' }, { jobId: 'cb-inv_a', attempts: 3 });
  expect((await settled('inv_a')).status).toBe('failed');
  await queue.close();
});

test("what is known of a tenant's callbacks is kept, however many another tenant has", async () => {
  const keepsTwo = createCallbacks({ redis: redis.connect(), kept: { count: 2, ms: 60_000 } });
  gateway.undo.push(() => keepsTwo.close());
  const settle = async (id: string, tenant: string) => {
    await keepsTwo.expect(id, tenant, receiver.url());
    await keepsTwo.settle(id, { status: 'delivered', lastStatus: 204 });
  };
  await settle('inv_ours', 'acme');
  for (const id of ['inv_a', 'inv_b', 'inv_c']) await settle(id, 'zeta');
  expect((await keepsTwo.state('inv_ours'))?.status).toBe('delivered');
  expect(await keepsTwo.state('inv_a'), 'the oldest of the other').toBeUndefined();
  expect((await keepsTwo.state('inv_c'))?.status).toBe('delivered');
});

test('those that came to their end are told to who counts, and the others are pending', async () => {
  settledAs.length = 0;
  await callbacks.expect('inv_open', 'default', receiver.url());
  await expectAndFinish('inv_a');
  await expectAndFinish('inv_b', 'http://127.0.0.1:1024/');
  expect(await callbacks.pending()).toBe(3);
  deliver();
  await eventually(() => expect([...settledAs].sort()).toEqual(['delivered', 'failed']));
  await eventually(async () => expect(await callbacks.pending()).toBe(1));
});

test('an end that is told many times is delivered once', async () => {
  deliver();
  deliver();
  await callbacks.expect('inv_a', 'default', receiver.url());
  const told = { ...forgotten('inv_a') };
  await Promise.all(Array.from({ length: 20 }, () => callbacks.finished(told)));
  await settled('inv_a');
  const queue = new Queue('callbacks', { connection: redis.connect(), prefix: 'oncebox' });
  // Its job is over a moment after it is settled, and until then there is no other of its name.
  await eventually(async () => expect(await queue.getJob('cb-inv_a')).toBeUndefined());
  // As whoever looked before it was delivered, and makes the job only now.
  const data = { id: 'inv_a', tenant: 'default', url: receiver.url(), body: '{}' };
  const job = await queue.add('deliver', data, { jobId: 'cb-inv_a' });
  await eventually(async () => expect(await job.getState()).toBe('completed'));
  await queue.close();
  expect(receiver.received).toHaveLength(1);
});

test('the end of an invocation that was cancelled while it waited is told', async () => {
  deliver();
  const accepted = await gateway.postJson('/v1/run', snippet, { headers: async(receiver.url()) });
  const { id } = (await accepted.json()) as Invocation;
  await gateway.app.request(`/v1/invocations/${id}`, { method: 'DELETE' });
  await settled(id);
  expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({
    id,
    outcome: { status: 'cancelled' },
  });
});

test('an end that nobody told, of a record that was dropped since, is told as lost', async () => {
  deliver();
  await gateway.startWorker(async (job) => finished(job));
  const accepted = await gateway.postJson('/v1/run', snippet, { headers: async(receiver.url()) });
  const { id } = (await accepted.json()) as Invocation;
  await eventually(async () => expect(await gateway.queue.get(id)).toMatchObject({ status: 'done' }));
  await redis.redis.del(queueKey(id));
  findEnds();
  await settled(id);
  expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({ id, outcome: { status: 'lost' } });
});

test('a record of more than a mebibyte goes without its output', async () => {
  deliver();
  await callbacks.expect('inv_a', 'default', receiver.url());
  const outcome = { status: 'ok' as const, result: 7 };
  await callbacks.finished({ ...forgotten('inv_a'), outcome, stdout: 'a'.repeat(1024 * 1024) });
  await settled('inv_a');
  expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({
    ...{ outcome, stdout: '', stdoutTruncated: true },
  });
});

test.each([
  ['ftp://example.com/'],
  ['/relative'],
  ['https://user:password@example.com/'],
  ['http://example.com:25/'],
  [`https://example.com/${'a'.repeat(2048)}`],
])('a callback to %.60s is refused, and nothing is enqueued', async (url) => {
  const response = await gateway.postJson('/v1/run', snippet, { headers: async(url) });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { field: 'oncebox-callback' } });
  expect(await gateway.queue.waiting()).toBe(0);
});

test('a callback is for those who do not wait', async () => {
  const headers = { 'oncebox-callback': 'https://example.com/' };
  const response = await gateway.postJson('/v1/run', snippet, { headers });
  expect(response.status).toBe(400);
  expect(await gateway.queue.waiting()).toBe(0);
});

test("a tenant's callbacks are signed with that tenant's secret", async () => {
  deliver();
  const secrets = createCallbackSecrets(redis.redis);
  const [ours, theirs] = [await secrets.get('default'), await secrets.get('acme')];
  await callbacks.expect('inv_a', 'acme', receiver.url());
  await callbacks.finished(forgotten('inv_a'));
  await settled('inv_a');
  const [delivery] = receiver.received as [Received];
  expect([ours, theirs].map(({ secret }) => isSignedWith(secret, delivery))).toEqual([false, true]);
});

test('what was delivered is noted though Redis is full, and not sent again', async () => {
  const id = 'inv_full';
  await callbacks.expect(id, 'default', receiver.url());
  await redis.redis.config('SET', 'maxmemory', '1');
  try {
    await expect(redis.redis.set('x', 'y')).rejects.toThrow(/OOM/);
    await callbacks.settle(id, { status: 'delivered', lastStatus: 200 });
  } finally {
    await redis.redis.config('SET', 'maxmemory', '0');
  }
  expect(await callbacks.state(id)).toMatchObject({ status: 'delivered', lastStatus: 200 });
  expect(await callbacks.begin(id)).toBe(false);
});
