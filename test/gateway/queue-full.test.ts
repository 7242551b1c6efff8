import { describe, expect, test } from 'vitest';
import { gate, untilCancelled, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const asynchronous = { headers: { prefer: 'respond-async' } };
const run = { runtime: 'node', code: '' };

describe('with room for two', () => {
  const gateway = useGateway(redis, { ONCEBOX_QUEUE_MAX: '2' });

  test('a full queue is a 429 that says when to come back', async () => {
    const post = () => gateway.postJson('/v1/run', run, asynchronous);
    expect((await post()).status).toBe(202);
    expect((await post()).status).toBe(202);
    const response = await post();
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await response.json()).toMatchObject({ error: { code: 'queue_full' } });
  });

  test('what is taken from a full queue, or cancelled, makes room', async () => {
    const post = () => gateway.postJson('/v1/run', run, asynchronous);
    const { id } = (await (await post()).json()) as { id: string };
    await post();
    expect((await post()).status).toBe(429);
    await gateway.app.request(`/v1/invocations/${id}`, { method: 'DELETE' });
    expect((await post()).status).toBe(202);
    const taken = gate();
    await gateway.startWorker(async (job, cancelled) => {
      taken.open();
      return untilCancelled(job, cancelled);
    });
    await taken.opened;
    expect((await post()).status).toBe(202);
  });
});

describe('with room for ten', () => {
  const gateway = useGateway(redis, { ONCEBOX_QUEUE_MAX: '10' });

  test('a hundred requests at once fill the queue to its last place and not beyond', async () => {
    for (let round = 0; round < 3; round++) {
      const posts = Array.from({ length: 100 }, () => gateway.postJson('/v1/run', run, asynchronous));
      const statuses = (await Promise.all(posts)).map(({ status }) => status);
      expect(statuses.filter((status) => status === 202)).toHaveLength(round === 0 ? 10 : 0);
      expect(statuses.filter((status) => status === 429)).toHaveLength(round === 0 ? 90 : 100);
      expect(await gateway.queue.waiting()).toBe(10);
    }
  });
});

describe('with ten thousand waiting', () => {
  const gateway = useGateway(redis);

  test('the next is a 429, and all others get on', { timeout: 600_000 }, async () => {
    for (let sent = 0; sent < 10_000; sent += 250) {
      const posts = Array.from({ length: 250 }, () => gateway.postJson('/v1/run', run, asynchronous));
      expect(new Set((await Promise.all(posts)).map(({ status }) => status))).toEqual(new Set([202]));
    }
    const refused = await Promise.all(Array.from({ length: 50 }, () => gateway.postJson('/v1/run', run)));
    for (const response of refused)
      expect([response.status, response.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await gateway.queue.waiting()).toBe(10_000);
    expect((await gateway.app.request('/v1/functions')).status).toBe(200);
    expect((await gateway.app.request('/healthz')).status).toBe(200);
    const metrics = await (await gateway.app.request('/metrics')).text();
    expect(metrics).toContain('\noncebox_queue_waiting 10000\n');
  });
});
