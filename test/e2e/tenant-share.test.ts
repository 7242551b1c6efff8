import { expect, test, vi } from 'vitest';
import { createClient } from '../../sdk/client.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform(() => ({ ONCEBOX_CONCURRENCY: '4' }));

test("with a tenant's programs that sleep in every place they may have, another's call runs, also when the worker was killed", async () => {
  await running.client.putTenant('sleepy', { quotas: {} });
  const sleepy = createClient(running.platform.url, { headers: { 'oncebox-tenant': 'sleepy' } });
  const patience = { timeout: 60_000, interval: 100 };
  const sleep = { runtime: 'bash', code: 'sleep 250', limits: { wallMs: 300_000 } } as const;
  const ids: string[] = [];
  for (let i = 0; i < 12; i++) ids.push((await sleepy.runAsync(sleep)).id);
  const statuses = async () =>
    (await Promise.all(ids.map((id) => sleepy.invocation(id)))).map(({ status }) => status);
  const count = async (wanted: string) => (await statuses()).filter((status) => status === wanted).length;
  await vi.waitFor(async () => expect(await count('running')).toBe(3), patience);
  const run = () => running.client.run({ runtime: 'bash', code: 'echo mine' });
  expect((await run()).stdout).toBe('mine\n');
  expect([await count('running'), await count('queued')]).toEqual([3, 9]);
  process.kill(running.platform.pids().worker ?? Number.NaN, 'SIGKILL');
  await vi.waitFor(
    async () => expect([await count('failed'), await count('running')]).toEqual([3, 3]),
    patience,
  );
  expect((await run()).stdout).toBe('mine\n');
  // Those that are held first: one that ends lets the next in.
  for (const id of [...ids].reverse()) await sleepy.cancel(id);
  await vi.waitFor(
    async () => expect([await count('failed'), await count('done')]).toEqual([3, 9]),
    patience,
  );
});
