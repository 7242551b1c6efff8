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
/** Of every invocation that a worker ended. `on`: the platform that said so, 0 or 1. */
const ended: { on: number; invocationId: string; function: string }[] = [];
/** Of every time at which a gateway found a schedule due, and what it called for that. `time`: when it had, Unix time in ms. */
const fired: { on: number; time: number; schedule: string; dueAt: string; invocationId: string }[] = [];
let client: Client;
/** Long enough for a busy machine to have called before the next is due. */
const everyMs = 3_000;

/** Two gateways, two workers, two launchers on one Redis. */
beforeAll(async () => {
  for (const on of [0, 1]) {
    const line = (_: string, text: string) => {
      const said = text.startsWith('{') ? JSON.parse(text) : {};
      if (said.msg === 'invocation') ended.push({ ...said, on });
      if (said.msg === 'a schedule was due') fired.push({ ...said, on });
    };
    const settings = { ONCEBOX_LOG_LEVEL: 'debug' };
    const config = { ...(await testConfig(settings)), ONCEBOX_REDIS_URL: redis.url };
    undo.push(() => rm(config.ONCEBOX_DATA_DIR, { recursive: true }));
    const platform = await startPlatform(config, { log: { step() {}, event() {}, line } });
    undo.push(() => platform.close());
    platforms.push(platform);
  }
  client = createClient(platforms[0]?.url ?? '');
});
afterAll(() => undo.run());

const endedOf = (name: string) => ended.filter((one) => one.function === name).map((one) => one.invocationId);

/** A function of this name that tells when it was called. */
async function schedule(name: string, timing: { cron: string } | { everyMs: number }): Promise<void> {
  const content = 'export const handler = (event) => ({ ...event, atMs: Date.now() });';
  const files = [{ path: 'index.mjs', content }];
  await client.deploy(name, { runtime: 'node', handler: 'index.handler', files });
  await client.putSchedule(name, { function: name, ...timing, event: { from: name } });
}

const untilEnded = (name: string, count: number) =>
  vi.waitFor(() => expect(endedOf(name).length).toBeGreaterThanOrEqual(count), {
    timeout: 120_000,
    interval: 50,
  });

const distinct = (items: string[]) => [...new Set(items)].sort();

/** `<due time> <invocation>` of all calls so far: no time has two, no invocation is for two, and none has ended twice. */
function callsOf(name: string): string[] {
  // A fire whose gateway died may be made again, with the same id.
  const calls = distinct(
    fired.filter((one) => one.schedule === name).map(({ dueAt, invocationId }) => `${dueAt} ${invocationId}`),
  );
  for (const part of [0, 1])
    expect(distinct(calls.map((call) => call.split(' ')[part] ?? ''))).toHaveLength(calls.length);
  expect(distinct(endedOf(name))).toHaveLength(endedOf(name).length);
  return calls;
}

/** When a gateway took what was due then, the first time. */
const takenAtMs = (name: string, dueAtMs: number) =>
  Math.min(
    ...fired
      .filter(({ schedule, dueAt }) => schedule === name && Date.parse(dueAt) === dueAtMs)
      .map(({ time }) => time),
  );

/**
 * The due times of a schedule that has been deleted, ascending, in Unix time in ms: none had its call early, and most were taken
 * before the next was due. One waits for what a killed gateway had in hand.
 */
async function dueTimesOf(name: string): Promise<number[]> {
  // What was due as it was deleted ends yet.
  await vi.waitFor(
    () =>
      expect(endedOf(name).sort()).toEqual(distinct(callsOf(name).map((call) => call.split(' ')[1] ?? ''))),
    { timeout: 60_000, interval: 50 },
  );
  const dueTimes = await Promise.all(
    callsOf(name).map(async (call) => {
      const [dueAt = '', id = ''] = call.split(' ');
      const { outcome } = await client.wait(id);
      const result = (outcome?.status === 'ok' ? outcome.result : {}) as { from: string; atMs: number };
      expect(result.from).toBe(name);
      expect(result.atMs).toBeGreaterThanOrEqual(Date.parse(dueAt));
      return Date.parse(dueAt);
    }),
  );
  const lateMs = dueTimes.map((dueAtMs) => takenAtMs(name, dueAtMs) - dueAtMs);
  expect(lateMs.filter((ms) => ms < everyMs).length, `${lateMs}`).toBeGreaterThan(lateMs.length / 2);
  return dueTimes;
}

/** None is missing, but for those that had passed when the one before was taken: only then is the next one added. */
function expectConsecutive(name: string, dueTimes: number[]): void {
  for (const [n, dueAtMs] of dueTimes.entries()) {
    const before = dueTimes[n - 1];
    if (before === undefined) continue;
    expect((dueAtMs - before) % everyMs, `${dueTimes}`).toBe(0);
    const takenBeforeMs = Math.max(before, takenAtMs(name, before));
    expect(dueAtMs - everyMs, `${dueTimes}`).toBeLessThanOrEqual(takenBeforeMs);
  }
}

test('with two gateways and two workers, each time that is due has one call, on time', async () => {
  await schedule('tick', { cron: `*/${everyMs / 1000} * * * * *` });
  await untilEnded('tick', 6);
  const both = (said: { on: number }[]) => new Set(said.map(({ on }) => on)).size === 2;
  await vi.waitFor(
    () => {
      expect(both(fired), 'both gateways take part').toBe(true);
      expect(both(ended), 'both workers take part').toBe(true);
    },
    { timeout: 120_000, interval: 50 },
  );
  const { lastRun } = await client.schedule('tick');
  await client.deleteSchedule('tick');
  const dueTimes = await dueTimesOf('tick');
  expectConsecutive('tick', dueTimes);
  for (const dueAt of dueTimes) expect(dueAt % everyMs, 'as the expression says').toBe(0);
  await vi.waitFor(() => expect(fired).toContainEqual(expect.objectContaining({ ...lastRun })), 60_000);
});

test('a gateway that is killed takes no call with it, and its successor makes none twice', async () => {
  await schedule('steady', { everyMs });
  await untilEnded('steady', 2);
  process.kill(platforms[1]?.pids().gateway ?? Number.NaN, 'SIGKILL');
  await untilEnded('steady', 6);
  await client.deleteSchedule('steady');
  // Were a fire lost, or the next one with it, times would be missing.
  expectConsecutive('steady', await dueTimesOf('steady'));
});

test('a schedule outlasts the restart of both gateways', async () => {
  await schedule('lasting', { everyMs: 1000 });
  await untilEnded('lasting', 1);
  for (const { pids } of platforms) process.kill(pids().gateway ?? Number.NaN, 'SIGKILL');
  await untilEnded('lasting', endedOf('lasting').length + 2);
  await vi.waitFor(() => client.deleteSchedule('lasting'), { timeout: 60_000, interval: 100 });
  expect(callsOf('lasting')).not.toEqual([]);
});
