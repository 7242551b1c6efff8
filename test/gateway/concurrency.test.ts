import { expect, test } from 'vitest';
import type { FunctionSettings } from '../../sdk/contract/function-settings.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { sweepSlots } from '../../services/queue/slots.ts';
import { finished, gate, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_QUEUE_MAX: '40' });

async function deploy(settings: FunctionSettings, name = 'f') {
  const headers = { 'content-type': 'application/json' };
  const files = [{ path: 'index.js', content: 'exports.handler = () => 1;' }];
  const body = JSON.stringify({ runtime: 'node', handler: 'index.handler', files });
  await gateway.app.request(`/v1/functions/${name}`, { method: 'PUT', body, headers });
  await gateway.registry.putSettings(name, settings);
}
const call = (headers: Record<string, string> = {}, name = 'f') =>
  gateway.postJson(`/v1/functions/${name}/invoke`, {}, { headers });
const later = { prefer: 'respond-async' };
async function callLater(name = 'f'): Promise<string> {
  const response = await call(later, name);
  expect(response.status).toBe(202);
  return ((await response.json()) as Invocation).id;
}
/** Workers that hold on to each until they are told; `most` is how many ran at once. */
async function startWorker() {
  const seen = { running: 0, most: 0, ends: [] as (() => void)[] };
  await gateway.startWorker(async (job) => {
    seen.running += 1;
    seen.most = Math.max(seen.most, seen.running);
    const { opened, open } = gate();
    seen.ends.push(open);
    await opened;
    seen.running -= 1;
    return finished(job);
  });
  return seen;
}

test('a caller who waits is refused beyond the cap, and others wait without a worker', async () => {
  await deploy({ concurrency: 2 });
  const seen = await startWorker();
  const ids = [await callLater(), await callLater(), await callLater()];
  await expect.poll(() => seen.running).toBe(2);
  const refused = await call();
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
  expect(await refused.json()).toMatchObject({ error: { code: 'concurrency_exceeded' } });
  expect(await gateway.queue.get(ids[2] ?? '')).toMatchObject({ status: 'queued' });
  expect(await gateway.queue.waiting()).toBe(1);
  // Other work gets on.
  const other = gateway.postJson('/v1/run', { runtime: 'node', code: '' });
  await expect.poll(() => seen.running).toBe(3);
  for (const end of seen.ends.splice(0)) end();
  expect((await other).status).toBe(200);
  // Whose slots these workers do not give back: the next look at them does.
  await expect.poll(async () => sweepSlots(redis.redis).then(() => seen.running)).toBe(1);
  for (const end of seen.ends.splice(0)) end();
  for (const id of ids) await expect.poll(() => gateway.queue.get(id)).toMatchObject({ status: 'done' });
  expect(seen.most).toBeLessThanOrEqual(3);
});

test('many at once never exceed the cap, and all are run', async () => {
  await deploy({ concurrency: 3 });
  let running = 0;
  let most = 0;
  await gateway.startWorker(async (job) => {
    running += 1;
    most = Math.max(most, running);
    await new Promise(setImmediate);
    running -= 1;
    return finished(job);
  });
  const ids = await Promise.all(Array.from({ length: 40 }, () => callLater()));
  await expect
    .poll(async () => {
      await sweepSlots(redis.redis);
      const records = await Promise.all(ids.map((id) => gateway.queue.get(id)));
      return records.every((record) => record?.status === 'done');
    })
    .toBe(true);
  expect(most).toBeLessThanOrEqual(3);
  await sweepSlots(redis.redis);
  expect(await redis.redis.keys('oncebox:*held*')).toEqual([]);
  expect(await redis.redis.keys('oncebox:slots:*')).toEqual([]);
  expect(await redis.redis.exists('oncebox:capped')).toBe(0);
});

test('one that is held can be cancelled, and one that has a slot gives it to the next', async () => {
  await deploy({ concurrency: 1 });
  const [first, second, third] = [await callLater(), await callLater(), await callLater()];
  expect(await gateway.queue.cancel(second)).toMatchObject({ outcome: { status: 'cancelled' } });
  expect(await gateway.queue.waiting()).toBe(2);
  expect(await redis.redis.zrange('oncebox:invocations:prioritized', '0', '-1')).toEqual([first]);
  await gateway.queue.cancel(first);
  expect(await redis.redis.zrange('oncebox:invocations:prioritized', '0', '-1')).toEqual([third]);
});

test('a cap that is lifted lets in who is held', async () => {
  await deploy({ concurrency: 1 });
  for (let i = 0; i < 4; i++) await callLater();
  await gateway.registry.putSettings('f', {});
  await sweepSlots(redis.redis);
  expect(await redis.redis.zcard('oncebox:invocations:prioritized')).toBe(4);
  expect(await gateway.queue.waiting()).toBe(4);
});

test('a function whose cap is nothing is stopped until that is raised', async () => {
  await deploy({ concurrency: 0 });
  expect((await call()).status).toBe(429);
  const id = await callLater();
  await sweepSlots(redis.redis);
  expect(await redis.redis.zrange('oncebox:invocations:prioritized', '0', '-1')).toEqual([]);
  await gateway.registry.putSettings('f', { concurrency: 1 });
  await sweepSlots(redis.redis);
  expect(await redis.redis.zrange('oncebox:invocations:prioritized', '0', '-1')).toEqual([id]);
});

test('a function that is called far beyond its cap takes no room of others', async () => {
  await deploy({ concurrency: 1 });
  await deploy({ concurrency: 1 }, 'g');
  // One has the slot, as many as may wait are held.
  for (let i = 0; i < 41; i++) await callLater();
  const refused = await call(later);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
  expect(await refused.json()).toMatchObject({
    error: { code: 'queue_full', message: expect.stringContaining('40 invocations of "f" wait') },
  });
  // Also right after that.
  const run = await gateway.postJson('/v1/run', { runtime: 'node', code: '' }, { headers: later });
  expect(run.status).toBe(202);
  for (let i = 0; i < 3; i++) await callLater('g');
  expect(await gateway.queue.figures()).toMatchObject({ waiting: 3, held: 42 });
});
