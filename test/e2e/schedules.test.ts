import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { testConfig } from '../support/platform.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis({ forServices: true });
const undo = createUndoStack();
const platforms: Platform[] = [];
/** Of every invocation that a worker ended: its id and its function. */
const ended: { invocationId: string; function: string }[] = [];
let client: Client;

/** Two gateways, two workers, two launchers on one Redis. */
beforeAll(async () => {
  const line = (service: string, text: string) => {
    const said = service === 'worker' && text.startsWith('{') ? JSON.parse(text) : {};
    if (said.msg === 'invocation') ended.push(said);
  };
  for (const _ of [1, 2]) {
    const config = { ...(await testConfig()), ONCEBOX_REDIS_URL: redis.url };
    undo.push(() => rm(config.ONCEBOX_DATA_DIR, { recursive: true }));
    const platform = await startPlatform(config, { log: { step() {}, event() {}, line } });
    undo.push(() => platform.close());
    platforms.push(platform);
  }
  client = createClient(platforms[0]?.url ?? '');
});
afterAll(() => undo.run());

const endedOf = (name: string) => ended.filter((one) => one.function === name).map((one) => one.invocationId);

/** A function of this name that tells when it was called, and the ids of its first `count` calls. */
async function schedule(name: string, timing: { cron: string } | { everyMs: number }): Promise<void> {
  const content = 'export const handler = (event) => ({ ...event, atMs: Date.now() });';
  const files = [{ path: 'index.mjs', content }];
  await client.deploy(name, { runtime: 'node', handler: 'index.handler', files });
  await client.putSchedule(name, { function: name, ...timing, event: { from: name } });
}

async function calledTimes(name: string, count: number): Promise<string[]> {
  await vi.waitFor(() => expect(endedOf(name).length).toBeGreaterThanOrEqual(count), {
    timeout: 60_000,
    interval: 50,
  });
  return endedOf(name);
}

test('with two gateways and two workers, each second of ten has one call, on time', async () => {
  await schedule('tick', { cron: '* * * * * *' });
  await calledTimes('tick', 10);
  await client.deleteSchedule('tick');
  const records = await Promise.all([...new Set(endedOf('tick'))].map((id) => client.invocation(id)));
  // No invocation ran twice, and no two were for one time.
  expect(endedOf('tick')).toHaveLength(records.length);
  const atMs = records
    .map(({ outcome }) => {
      const { from, atMs } = (outcome?.status === 'ok' ? outcome.result : {}) as {
        from: string;
        atMs: number;
      };
      expect(from).toBe('tick');
      return atMs;
    })
    .sort((a, b) => a - b);
  const [first = 0] = atMs;
  // The n-th call is within a second of n seconds after the first.
  for (const [n, at] of atMs.entries())
    expect(Math.abs(at - first - n * 1000), `call ${n}`).toBeLessThan(1000);
});

test('a gateway that is killed takes no call with it, and its successor makes none twice', async () => {
  await schedule('steady', { everyMs: 1000 });
  await calledTimes('steady', 2);
  process.kill(platforms[1]?.pids().gateway ?? 0, 'SIGKILL');
  await calledTimes('steady', 8);
  await client.deleteSchedule('steady');
  const ids = endedOf('steady');
  expect(new Set(ids).size).toBe(ids.length);
  const atMs = (await Promise.all(ids.map((id) => client.invocation(id)))).map(({ outcome }) =>
    outcome?.status === 'ok' ? (outcome.result as { atMs: number }).atMs : Number.NaN,
  );
  const seconds = (Math.max(...atMs) - Math.min(...atMs)) / 1000;
  // Were a fire lost, or the next one with it, calls would be missing.
  expect(Math.abs(ids.length - 1 - seconds)).toBeLessThan(1.5);
});

test('a schedule outlasts the restart of both gateways', async () => {
  await schedule('lasting', { everyMs: 1000 });
  await calledTimes('lasting', 1);
  for (const { pids } of platforms) process.kill(pids().gateway ?? 0, 'SIGKILL');
  await calledTimes('lasting', endedOf('lasting').length + 2);
  await vi.waitFor(() => client.deleteSchedule('lasting'), { timeout: 20_000, interval: 100 });
  expect(new Set(endedOf('lasting')).size).toBe(endedOf('lasting').length);
});
