import { expect, test } from 'vitest';
import type { ErrorBody } from '../../sdk/contract/error.ts';
import { type Schedule, schedulesMax } from '../../sdk/contract/schedule.ts';
import { createScheduleStore, type Definition } from '../../services/schedules/schedule-store.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_BODY_MAX_BYTES: '131072' });

const put = (id: string, body: unknown) =>
  gateway.app.request(`/v1/schedules/${id}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const get = (path = '') => gateway.app.request(`/v1/schedules${path}`);

async function deploy(): Promise<void> {
  const body = {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: 'export const handler = (event) => event;' }],
  };
  await gateway.app.request('/v1/functions/hello', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

test('a schedule is made, read, listed, changed and deleted', async () => {
  await deploy();
  const made = await put('b', { function: 'hello', cron: '0 7 * * *', timeZone: 'Asia/Tokyo', event: [1] });
  expect(made.status).toBe(201);
  const schedule = (await made.json()) as Schedule;
  expect(schedule).toMatchObject({
    id: 'b',
    function: 'hello',
    cron: '0 7 * * *',
    timeZone: 'Asia/Tokyo',
    event: [1],
    enabled: true,
    priority: 'normal',
    runs: 0,
  });
  expect(schedule.nextRunAt).toMatch(/T22:00:00\.000Z$/);
  expect(Object.keys(schedule)).not.toContain('seed');
  expect(await (await get('/b')).json()).toEqual(schedule);

  await put('a', { function: 'hello', everyMs: 60_000 });
  const { schedules } = (await (await get()).json()) as { schedules: Schedule[] };
  expect(schedules.map(({ id }) => id)).toEqual(['a', 'b']);

  const changed = await put('b', { function: 'hello', cron: '30 * * * *' });
  expect(changed.status).toBe(200);
  const now = (await changed.json()) as Schedule;
  expect(now).toMatchObject({ createdAt: schedule.createdAt, event: null });
  expect(now.timeZone).toBeUndefined();
  expect(now.nextRunAt).toMatch(/:30:00\.000Z$/);

  expect((await gateway.app.request('/v1/schedules/b', { method: 'DELETE' })).status).toBe(204);
  expect((await get('/b')).status).toBe(404);
  expect((await gateway.app.request('/v1/schedules/b', { method: 'DELETE' })).status).toBe(404);
});

test('the first run of an interval is one interval away, and stays there when the event changes', async () => {
  await deploy();
  const before = Date.now();
  const { nextRunAt } = (await (await put('a', { function: 'hello', everyMs: 60_000 })).json()) as Schedule;
  const next = Date.parse(nextRunAt ?? '');
  expect(next).toBeGreaterThanOrEqual(before + 60_000);
  expect(next).toBeLessThanOrEqual(Date.now() + 60_000);
  const changed = (await (
    await put('a', { function: 'hello', everyMs: 60_000, event: 1 })
  ).json()) as Schedule;
  expect(changed).toMatchObject({ nextRunAt, event: 1 });
});

test('a schedule that is not enabled has no next run, until it is', async () => {
  await deploy();
  const off = { function: 'hello', everyMs: 5_000, enabled: false };
  expect(await (await put('a', off)).json()).toMatchObject({ enabled: false, nextRunAt: null });
  const on = (await (await put('a', { ...off, enabled: true })).json()) as Schedule;
  expect(on.nextRunAt).not.toBeNull();
  expect(await (await put('a', off)).json()).toMatchObject({ nextRunAt: null });
});

test.each([
  ['neither cron nor everyMs', { function: 'hello' }, 'cron'],
  ['both', { function: 'hello', cron: '* * * * *', everyMs: 1000 }, 'cron'],
  ['less than a second', { function: 'hello', everyMs: 999 }, 'everyMs'],
  ['four fields', { function: 'hello', cron: '* * * *' }, 'cron'],
  ['seven fields', { function: 'hello', cron: '* * * * * * *' }, 'cron'],
  ['hour 24', { function: 'hello', cron: '0 24 * * *' }, 'cron'],
  ['a zone without cron', { function: 'hello', everyMs: 1000, timeZone: 'UTC' }, 'timeZone'],
  ['a zone that is a path', { function: 'hello', cron: '* * * * *', timeZone: '../etc' }, 'timeZone'],
  ['an event of more than 64 KiB', { function: 'hello', everyMs: 1000, event: 'a'.repeat(65_535) }, 'event'],
  ['an unknown field', { function: 'hello', everyMs: 1000, at: 1 }, 'at'],
])('a schedule with %s is refused', async (_, body, field) => {
  await deploy();
  const response = await put('a', body);
  expect(response.status).toBe(400);
  expect(((await response.json()) as ErrorBody).error).toMatchObject({ code: 'invalid_request', field });
  expect((await get('/a')).status).toBe(404);
});

test('an id that is none is refused, and so is a function that there is not', async () => {
  await deploy();
  expect((await put('A.b', { function: 'hello', everyMs: 1000 })).status).toBe(400);
  const response = await put('a', { function: 'helo', everyMs: 1000 });
  expect(response.status).toBe(404);
  expect(((await response.json()) as ErrorBody).error.code).toBe('function_not_found');
});

test('a tenant has so many schedules and no more, and can still change those', async () => {
  await deploy();
  const store = createScheduleStore(redis.redis);
  const definition: Definition = {
    ...{ function: 'hello', everyMs: 60_000, eventJson: 'null', enabled: false, priority: 'normal' },
    ...{ createdAt: '', updatedAt: '', revision: 'r', seed: '0'.repeat(32) },
  };
  await Promise.all(
    Array.from({ length: schedulesMax }, (_, at) => store.put('default', `s${at}`, () => definition)),
  );
  const refused = await put('one-more', { function: 'hello', everyMs: 1000 });
  expect(refused.status).toBe(409);
  expect(((await refused.json()) as ErrorBody).error.code).toBe('schedule_limit_reached');
  expect((await put('s7', { function: 'hello', everyMs: 60_000 })).status).toBe(200);
});

test("another tenant's schedules are not there, and ids of one's own are one's own", async () => {
  await deploy();
  await put('a', { function: 'hello', everyMs: 60_000, event: 'default' });
  const { schedules } = gateway;
  const request = { function: 'hello', everyMs: 60_000, enabled: true, priority: 'normal' } as const;
  await schedules.put('acme', 'a', { ...request, event: 'acme' });
  await schedules.put('acme', 'b', request);
  expect((await get('/b')).status).toBe(404);
  expect(await (await get('/a')).json()).toMatchObject({ event: 'default' });
  expect((await schedules.list('acme')).map(({ id }) => id)).toEqual(['a', 'b']);
  await gateway.app.request('/v1/schedules/a', { method: 'DELETE' });
  expect(await schedules.get('acme', 'a')).toMatchObject({ event: 'acme', nextRunAt: expect.any(String) });
  expect((await (await get()).json()) as { schedules: Schedule[] }).toEqual({ schedules: [] });
});
