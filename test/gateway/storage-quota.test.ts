import { expect, test } from 'vitest';
import { keepDeadLetter } from '../../services/queue/dead-letters.ts';
import { invocationJobSchema } from '../../services/queue/job.ts';
import { forgotten } from '../../services/queue/result-channel.ts';
import { boxKeys } from '../../services/secrets/sealed-box.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

/** What is no code: quotas.test.ts has that, archives and streamed results. */
const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_SECRETS_PUBLIC_KEY: boxKeys().publicKey });

const put = (path: string, body: unknown) => gateway.postJson(path, body, { method: 'PUT' });
const allow = (storageBytes: number) => put('/v1/tenants/default', { quotas: { storageBytes } });
const putSecret = (name: string, bytes: number) => put(`/v1/secrets/${name}`, { value: 'x'.repeat(bytes) });
const putSchedule = (id: string, event: unknown) =>
  put(`/v1/schedules/${id}`, { function: 'f', everyMs: 60_000, event });
const remove = (path: string) => gateway.app.request(path, { method: 'DELETE' });

async function usedBytes(): Promise<number> {
  const record = await (await gateway.app.request('/v1/tenants/default')).json();
  return (record as { usage: { storageBytes: number } }).usage.storageBytes;
}

async function expectRefused(response: Response): Promise<void> {
  expect(response.status).toBe(429);
  expect(await response.json()).toMatchObject({ error: { code: 'quota_exceeded' } });
}

test('secrets count, and one beyond the quota is refused; what is deleted makes place', async () => {
  await allow(100_000);
  expect((await putSecret('A', 50_000)).status).toBe(201);
  expect(await usedBytes()).toBeGreaterThan(50_000);
  await expectRefused(await putSecret('B', 50_000));
  const list = await (await gateway.app.request('/v1/secrets')).json();
  expect(list).toMatchObject({ secrets: [{ name: 'A' }] });
  await remove('/v1/secrets/A');
  expect(await usedBytes()).toBe(0);
  expect((await putSecret('B', 50_000)).status).toBe(201);
});

test('what takes the place of something takes only as much as it is larger', async () => {
  await allow(100_000);
  expect((await putSecret('A', 50_000)).status).toBe(201);
  expect((await putSecret('A', 50_000)).status).toBe(200);
  expect((await putSecret('A', 60_000)).status).toBe(200);
  await allow(1000);
  expect((await putSecret('A', 10)).status, 'a smaller one, though it is too much').toBe(200);
  await expectRefused(await putSecret('A', 2000));
});

test('it is exact when many put at once', async () => {
  await allow(50_000);
  const replies = await Promise.all(Array.from({ length: 12 }, (_, n) => putSecret(`S${n}`, 9_000)));
  expect(replies.filter(({ status }) => status === 201)).toHaveLength(4);
  expect(await usedBytes()).toBeLessThanOrEqual(50_000);
});

test('schedules count with their events, and one beyond the quota is refused', async () => {
  const deploy = { runtime: 'node', handler: 'i.handler', files: [{ path: 'i.mjs', content: '' }] };
  await put('/v1/functions/f', deploy);
  const code = await usedBytes();
  await allow(code + 100_000);
  expect((await putSchedule('a', 'x'.repeat(60_000))).status).toBe(201);
  expect(await usedBytes()).toBeGreaterThan(code + 60_000);
  await expectRefused(await putSchedule('b', 'x'.repeat(60_000)));
  expect((await putSchedule('a', 'y'.repeat(60_000))).status, 'in its place').toBe(200);
  // Quotes take twice as much: what is stored is JSON in JSON.
  await expectRefused(await putSchedule('b', '"'.repeat(20_000)));
  await remove('/v1/schedules/a');
  expect(await usedBytes()).toBe(code);
});

async function letter(tenant: string, id: string, bytes = 30_000): Promise<void> {
  const response = await gateway.postJson(
    '/v1/run',
    { runtime: 'node', code: '' },
    { headers: { prefer: 'respond-async' } },
  );
  const { id: accepted } = (await response.json()) as { id: string };
  const data = await redis.redis.hget(`oncebox:invocations:${accepted}`, 'data');
  const job = { ...invocationJobSchema.parse(JSON.parse(data ?? '')), tenant };
  const invocation = { ...forgotten(id), stdout: 'x'.repeat(bytes) };
  const bounds = { kept: 100, keptMs: 60_000 };
  await keepDeadLetter(redis.redis, { job, invocation, diedAtMs: Date.now(), attempts: 1 }, bounds);
}
const kept = async (tenant: string) =>
  (await redis.redis.zrange(`oncebox:dead-of:${tenant}`, '0', '-1')).toSorted();

test('dead letters count, and beyond the quota the oldest of that tenant give way', async () => {
  const { storage } = gateway.tenancy;
  await letter('other', 'inv_other');
  await letter('default', 'inv_0');
  expect(await usedBytes()).toBeGreaterThan(30_000);
  await allow(100_000);
  for (const n of [1, 2, 3, 4]) {
    await letter('default', `inv_${n}`);
    await storage.fitDeadLetters('default', 100_000, [`inv_${n}`]);
  }
  await storage.fitDeadLetters('other', undefined, ['inv_other']);
  expect(await kept('default')).toEqual(['inv_2', 'inv_3', 'inv_4']);
  expect(await usedBytes()).toBeLessThanOrEqual(100_000);
  expect(await kept('other')).toEqual(['inv_other']);
  expect(await redis.redis.zrange('oncebox:dead-at', '0', '-1')).toHaveLength(4);
  await expectRefused(await putSecret('A', 20_000));
});

test('no old dead letter goes where something else is too much; new ones are not kept', async () => {
  const { storage } = gateway.tenancy;
  await letter('default', 'inv_0');
  await allow(150_000);
  expect((await putSecret('A', 50_000)).status).toBe(201);
  const makeFit = async (quota: number, ...newIds: string[]) => {
    await storage.fitDeadLetters('default', quota, newIds);
    return kept('default');
  };
  await letter('default', 'inv_1');
  await letter('default', 'inv_2');
  expect(await makeFit(40_000, 'inv_1', 'inv_2')).toEqual(['inv_0']);
  expect(await makeFit(40_000)).toEqual(['inv_0']);
  expect(await usedBytes()).toBeLessThan(120_000);
  // One that is too large by itself pushes out none.
  await letter('default', 'inv_3', 60_000);
  expect(await makeFit(120_000, 'inv_3')).toEqual(['inv_0']);
  await letter('default', 'inv_4', 60_000);
  expect(await makeFit(150_000, 'inv_4')).toEqual(['inv_4']);
});
