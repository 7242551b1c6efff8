import { expect, test, vi } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { finished, gate, untilCancelled, useGateway } from '../support/gateway.ts';
import { nodeImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';
import { streams } from '../support/streaming-worker.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_STREAMS_MAX: '2' });
const snippet = { runtime: 'node', code: '1' };

/** Runs until the gate is opened. */
async function running(tenant: string) {
  const ended = gate();
  await gateway.startWorker(async (job) => {
    await ended.opened;
    return finished(job);
  });
  const headers = { prefer: 'respond-async', 'oncebox-tenant': tenant };
  const { id } = (await (await gateway.postJson('/v1/run', snippet, { headers })).json()) as Invocation;
  const ask = (what: string, method = 'GET') =>
    gateway.app.request(`/v1/invocations/${id}/${what}`, { method, headers: { 'oncebox-tenant': tenant } });
  return { ask, ended };
}

test('a tenant holds as many connections open as it may, and each that ends makes place', async () => {
  const { ask, ended } = await running('acme');
  const [first, second] = [await ask('events'), await ask('logs?follow=1')];
  expect([first.status, second.status]).toEqual([200, 200]);
  const refused = await ask('events');
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ error: { code: 'quota_exceeded' } });
  expect(refused.headers.get('retry-after')).toBe('1');
  expect((await ask('logs')).status).toBe(429);

  // By leaving, and by the end of what is followed.
  await first.body?.cancel();
  const third = await ask('events');
  expect(third.status).toBe(200);
  expect((await ask('events')).status).toBe(429);
  ended.open();
  expect(await third.text()).toContain('event: end');
  await second.text();
  for (let again = 0; again < 3; again++)
    expect((await (await ask('events')).text()).length).toBeGreaterThan(0);
});

test("another tenant's connections, and questions for the head only, take no place", async () => {
  const ours = await running('acme');
  const replies = [await ours.ask('events'), await ours.ask('events')];
  for (let n = 0; n < 5; n++)
    for (const what of ['events', 'logs']) expect((await ours.ask(what, 'HEAD')).status).toBe(200);
  const theirs = await running('zeta');
  replies.push(await theirs.ask('events'));
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
  for (const { body } of replies) await body?.cancel();
  for (const { ended } of [ours, theirs]) ended.open();
});

test('who asks for events beyond the bound has nothing enqueued', async () => {
  const post = () => gateway.postJson('/v1/run', snippet, { headers: { accept: 'text/event-stream' } });
  const replies = [await post(), await post()];
  expect((await post()).status).toBe(429);
  expect(await gateway.queue.waiting()).toBe(2);
  for (const { body } of replies) await body?.cancel();
  await vi.waitFor(async () => expect(await gateway.queue.waiting()).toBe(0), 60_000);
  const next = await post();
  expect(next.status).toBe(200);
  await next.body?.cancel();
});

test('a question for the head of what is streamed takes no place, and ends it', async () => {
  await gateway.registry.deploy({
    image: { ...nodeImage, reference: 'localhost/node:latest' },
    ...{ name: 'streams', runtime: 'node', handler: 'index.handler', env: {}, limits: {} },
    files: [{ path: 'index.js', data: Buffer.from('') }],
  });
  const ends: Promise<Invocation>[] = [];
  await gateway.startWorker(async (job, cancelled) => {
    await streams(redis, ['one'])(job, cancelled);
    const ended = untilCancelled(job, cancelled);
    ends.push(ended);
    return ended;
  });
  for (let n = 0; n < 3; n++)
    expect((await gateway.app.request('/fn/streams', { method: 'HEAD' })).status).toBe(200);
  for (const { outcome } of await Promise.all(ends)) expect(outcome).toEqual({ status: 'cancelled' });
});
