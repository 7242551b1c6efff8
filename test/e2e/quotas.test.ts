import { expect, test, vi } from 'vitest';
import { createClient } from '../../sdk/client.ts';
import type { Quotas } from '../../sdk/contract/tenant.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();
const patience = { timeout: 20_000, interval: 50 };
const allow = (quotas: Quotas) => running.client.putTenant('default', { quotas });
const usage = async () => (await running.client.tenant('default')).usage;
const endless = {
  runtime: 'bash',
  code: 'echo started; read x < <(sleep 30)',
  limits: { wallMs: 60_000 },
} as const;
const quick = { runtime: 'bash', code: 'echo quick' } as const;

test('what ends makes place for the next one', async () => {
  await allow({ concurrency: 1 });
  const { id } = await running.client.runAsync(endless);
  await expect(running.client.run(quick)).rejects.toMatchObject({ status: 429, code: 'quota_exceeded' });
  await running.client.cancel(id);
  await vi.waitFor(async () => expect((await running.client.run(quick)).stdout).toBe('quick\n'), patience);
  await vi.waitFor(async () => expect((await usage()).concurrency).toBe(0), patience);
});

test('an invocation whose worker is killed gives its place back', async () => {
  await allow({ concurrency: 1 });
  const { id } = await running.client.runAsync(endless);
  await vi.waitFor(
    async () => expect((await running.client.invocation(id)).status).toBe('running'),
    patience,
  );
  process.kill(running.platform.pids().worker ?? Number.NaN, 'SIGKILL');
  // The usual client would come again until there is a place.
  const client = createClient(running.platform.url, { retries: 0 });
  await expect(client.run(quick)).rejects.toMatchObject({ code: 'quota_exceeded' });
  await vi.waitFor(async () => expect((await running.client.run(quick)).stdout).toBe('quick\n'), patience);
  expect((await running.client.invocation(id)).outcome?.status).toBe('lost');
});

test('CPU time is told by the worker, and refuses when it is used up', async () => {
  await allow({ cpuSecondsPerDay: 1 });
  const code = 'const end = process.cpuUsage().user + 1.2e6; while (process.cpuUsage().user < end);';
  const { usage: used } = await running.client.run({ runtime: 'node', code });
  expect(used?.cpuMs).toBeGreaterThan(1_000);
  await vi.waitFor(async () => expect((await usage()).cpuSecondsToday).toBeGreaterThan(1), patience);
  await expect(running.client.run(quick)).rejects.toMatchObject({ status: 429, code: 'quota_exceeded' });
  await allow({});
  expect((await running.client.run(quick)).stdout).toBe('quick\n');
});
