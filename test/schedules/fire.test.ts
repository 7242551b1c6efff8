import { expect, test, vi } from 'vitest';
import type { ParsedScheduleRequest } from '../../sdk/contract/schedule.ts';
import { callScheduled } from '../../services/gateway/call-scheduled.ts';
import { type ScheduledCall, type ScheduleEnd, startFiring } from '../../services/schedules/fire.ts';
import { loadConfig } from '../../services/shared/config.ts';
import { createLogger } from '../../services/shared/logger.ts';
import { PlatformError } from '../../services/shared/platform-error.ts';
import { finished, gate, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

const request: ParsedScheduleRequest = {
  function: 'hello',
  everyMs: 1000,
  event: { n: 1 },
  enabled: true,
  priority: 'normal',
};

const calls = {
  tenant: 'default',
  function: 'hello',
  eventJson: '{"n":1}',
};

/** A gateway's part in firing, gone after the test. */
function fireWith(call: (call: ScheduledCall) => Promise<void>, onDue?: (end: ScheduleEnd) => void) {
  const connection = redis.connect();
  const logger = createLogger('silent', 'test');
  const firing = startFiring({
    redis: connection,
    schedules: gateway.schedules,
    call,
    ...(onDue && { onDue }),
    logger,
  });
  gateway.undo.push(async () => {
    await firing.close();
    connection.disconnect();
  });
  return firing;
}

const scheduled = async (id: string) => gateway.schedules.get('default', id);
const soon = { timeout: 60_000, interval: 20 };

async function until<T>(read: () => Promise<T | undefined> | T | undefined): Promise<T> {
  return vi.waitFor(async () => {
    const found = await read();
    expect(found).toBeDefined();
    return found as T;
  }, soon);
}

test('of two gateways that fire, one makes the call of each time, and all times have their call', async () => {
  const made: ScheduledCall[] = [];
  const call = async (one: ScheduledCall) => void made.push(one);
  fireWith(call);
  fireWith(call);
  await gateway.schedules.put('default', 'a', request);
  await until(async () => (await scheduled('a')).runs >= 4 || undefined);
  await gateway.schedules.delete('default', 'a');
  expect(made[0]).toMatchObject(calls);
  expect(new Set(made.map(({ id }) => id)).size).toBe(made.length);
  expect(made.length).toBeGreaterThanOrEqual(4);
});

test('what was missed while nobody fired is called once, and after that the next', async () => {
  const { schedule } = await gateway.schedules.put('default', 'a', request);
  const dueMs = Date.parse(schedule.nextRunAt ?? '');
  // Three times are due and not taken.
  await until(() => (Date.now() > dueMs + 2_100 ? true : undefined));
  const noted = vi.spyOn(gateway.schedules.store, 'record');
  const startedMs = Date.now();
  fireWith(async () => {});
  const [[, , first], [, , second]] = await until(() => {
    const [one, other] = noted.mock.calls;
    return one && other && ([one, other] as const);
  });
  expect(first).toBe(dueMs);
  expect(second).toBeGreaterThan(startedMs);
  expect((await scheduled('a')).runs).toBeGreaterThan(0);
});

test('a call that could not be made is tried again as the same invocation', async () => {
  const ids: string[] = [];
  const seen = gate();
  fireWith(async ({ id }) => {
    ids.push(id);
    if (ids.length === 1) throw new PlatformError('queue_full', 'full', { retryAfterSeconds: 1 });
    // What comes of the next is noted over what is looked for.
    await seen.opened;
  });
  gateway.undo.push(seen.open);
  await gateway.schedules.put('default', 'a', request);
  await until(() => ids[0]);
  expect(await until(async () => (await scheduled('a')).lastRun?.error?.code)).toBe('queue_full');
  seen.open();
  await until(() => ids.indexOf(ids[0] ?? '', 1) > 0 || undefined);
});

test('a schedule of a function that was deleted stays, and says why nothing is called', async () => {
  await gateway.app.request('/v1/functions/hello', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      runtime: 'node',
      handler: 'index.handler',
      files: [{ path: 'index.mjs', content: 'export const handler = (event) => event;' }],
    }),
  });
  const { queue, registry, directory, callbacks } = gateway;
  fireWith((call) => callScheduled({ config: loadConfig({}), queue, registry, directory, callbacks }, call));
  await gateway.startWorker(async (job) => finished(job));
  await gateway.schedules.put('default', 'a', request);
  const first = await until(async () => (await scheduled('a')).lastRun?.invocationId);
  expect(await until(() => queue.get(first))).toMatchObject({ id: first, function: { name: 'hello' } });

  await registry.delete('hello');
  const { error, invocationId } = await until(async () => {
    const { lastRun } = await scheduled('a');
    return lastRun?.error ? lastRun : undefined;
  });
  expect(error).toMatchObject({ code: 'function_not_found' });
  expect(invocationId).toBeUndefined();
  expect((await scheduled('a')).nextRunAt).not.toBeNull();
});

test('a change whose gateway died before BullMQ heard of it is applied when the old one is due', async () => {
  const made: ScheduledCall[] = [];
  await gateway.schedules.put('default', 'a', request);
  await gateway.schedules.store.put('default', 'a', (was) => {
    if (!was) throw new Error('it was not there');
    return { ...was, everyMs: 3_600_000, revision: 'another' };
  });
  // Only the fire itself is to find it.
  vi.spyOn(gateway.schedules, 'reconcile').mockResolvedValue();
  fireWith(async (one) => void made.push(one));
  await until(async () => {
    const { nextRunAt } = await scheduled('a');
    return Date.parse(nextRunAt ?? '') > Date.now() + 3_000_000 ? true : undefined;
  });
  expect(made).toEqual([]);
});

test('a schedule that BullMQ never heard of, or lost, is made good', async () => {
  const { schedule } = await gateway.schedules.put('default', 'a', { ...request, everyMs: 60_000 });
  await redis.redis.del(...(await redis.redis.keys('oncebox:schedules:repeat*')));
  expect((await scheduled('a')).nextRunAt).toBeNull();
  await gateway.schedules.reconcile();
  const next = Date.parse((await scheduled('a')).nextRunAt ?? '');
  expect(next).toBeGreaterThanOrEqual(Date.parse(schedule.nextRunAt ?? ''));
});

test('a fire of a schedule that is gone takes BullMQ’s scheduler away', async () => {
  await gateway.schedules.put('default', 'a', request);
  await gateway.schedules.store.delete('default', 'a');
  const made: ScheduledCall[] = [];
  fireWith(async (one) => void made.push(one));
  await until(async () => ((await redis.redis.zcard('oncebox:schedules:repeat')) === 0 ? true : undefined));
  expect(made).toEqual([]);
});

test('each time that was due is told to who counts: called, or not', async () => {
  const ends: ScheduleEnd[] = [];
  const refusals = [new PlatformError('function_not_found', 'it is gone')];
  fireWith(
    async () => {
      const refusal = refusals.pop();
      if (refusal) throw refusal;
    },
    (end) => void ends.push(end),
  );
  await gateway.schedules.put('default', 'a', request);
  await until(() => (ends.length >= 2 ? true : undefined));
  expect(ends[0]).toBe('missed');
  expect(ends[1]).toMatch(/^(fired|late)$/);
});
