import { expect, test } from 'vitest';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const gateway = useGateway(useRedis(), { ONCEBOX_QUEUE_MAX: '2' });

test('a full queue is a 429 that says when to come back', async () => {
  const post = () =>
    gateway.postJson('/v1/run', { runtime: 'node', code: '' }, { headers: { prefer: 'respond-async' } });
  expect((await post()).status).toBe(202);
  expect((await post()).status).toBe(202);
  const response = await post();
  expect(response.status).toBe(429);
  expect(response.headers.get('retry-after')).toBe('1');
  expect(await response.json()).toMatchObject({ error: { code: 'queue_full' } });
});
