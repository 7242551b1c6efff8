import { expect, test, vi } from 'vitest';
import { createClient } from '../../sdk/client.ts';
import type { Quotas } from '../../sdk/contract/tenant.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();
const patience = { timeout: 60_000, interval: 50 };
const allow = (quotas: Quotas) => running.client.putTenant('default', { quotas });
const usage = async () => (await running.client.tenant('default')).usage;
const endless = {
  runtime: 'bash',
  code: 'echo started; read x < <(sleep 500)',
  limits: { wallMs: 600_000 },
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
  // The usual client would come again until there is a place.
  const client = createClient(running.platform.url, { retries: 0 });
  await expect(client.run(quick)).rejects.toMatchObject({ code: 'quota_exceeded' });
  process.kill(running.platform.pids().worker ?? Number.NaN, 'SIGKILL');
  await vi.waitFor(async () => expect((await client.run(quick)).stdout).toBe('quick\n'), patience);
  expect((await client.wait(id)).outcome?.status).toBe('lost');
});

test('a result that is streamed into a full storage ends there, and others go on', async () => {
  const code = `export async function* handler({ bytes }) { for (let sent = 0; sent < bytes; sent += 65_536) yield 'x'.repeat(65_536) }`;
  await running.client.deploy('streams', {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: code }],
  });
  await allow({ storageBytes: 1024 * 1024 });
  const streamed = async (bytes: number) => {
    const response = await fetch(`${running.platform.url}/v1/functions/streams/invoke`, {
      method: 'POST',
      body: JSON.stringify({ bytes }),
    });
    const id = response.headers.get('oncebox-invocation-id') ?? '';
    const text = await response.text().catch(() => 'cut');
    return { text, record: await running.client.wait(id) };
  };
  const small = await streamed(131_072);
  expect([small.text.length, small.record.outcome?.status]).toEqual([131_072, 'ok']);
  const large = await streamed(32 * 1024 * 1024);
  expect(large.text).toBe('cut');
  expect(large.record.outcome).toMatchObject({ status: 'limit_exceeded', limit: 'output' });
  const { storageBytes } = await usage();
  expect(storageBytes).toBeGreaterThan(131_072);
  expect(storageBytes).toBeLessThanOrEqual(1024 * 1024);
  await allow({});
  expect((await streamed(2 * 1024 * 1024)).record.outcome?.status).toBe('ok');
});

test('when the storage is full, the oldest dead letters give way to new ones', async () => {
  const { client } = running;
  const files = [
    { path: 'index.mjs', content: 'export const handler = () => { throw new Error("dies"); };' },
  ];
  await client.deploy('dies', { runtime: 'node', handler: 'index.handler', files });
  const quota = ((await usage()).storageBytes ?? 0) + 1024 * 1024;
  await allow({ storageBytes: quota });
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) {
    const { id } = await client.invokeAsync('dies', 'x'.repeat(300_000));
    await client.wait(id);
    ids.unshift(id);
  }
  // They are made to fit once a second.
  await vi.waitFor(async () => {
    expect((await usage()).storageBytes).toBeLessThanOrEqual(quota);
    const kept = (await client.deadLetters({ function: 'dies' })).map(({ id }) => id);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(ids.length);
    expect(kept).toEqual(ids.slice(0, kept.length));
  }, patience);
  await allow({});
});

test('CPU time is told by the worker, and refuses when it is used up', async () => {
  await allow({ cpuSecondsPerDay: 1 });
  const code = 'const end = process.cpuUsage().user + 1.2e6; while (process.cpuUsage().user < end);';
  const limits = { wallMs: 60_000 };
  const { usage: used } = await running.client.run({ runtime: 'node', code, limits });
  expect(used?.cpuMs).toBeGreaterThan(1_000);
  await vi.waitFor(async () => expect((await usage()).cpuSecondsToday).toBeGreaterThan(1), patience);
  await expect(running.client.run(quick)).rejects.toMatchObject({ status: 429, code: 'quota_exceeded' });
  await allow({});
  expect((await running.client.run(quick)).stdout).toBe('quick\n');
});
