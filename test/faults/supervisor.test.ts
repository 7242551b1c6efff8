import { type ChildProcess, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { expect, test, vi } from 'vitest';
import { createClient } from '../../sdk/client.ts';
import { leftovers, pathsOf, testConfig } from '../support/platform.ts';

const patience = { timeout: 90_000, interval: 50 };
const script = new URL('../../build/up.mjs', import.meta.url).pathname;

async function startUp(paths: Record<string, string>): Promise<{ up: ChildProcess; url: string }> {
  const up = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, ONCEBOX_PORT: '0', ...paths },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: up.stdout })) {
    const url = /^Ready on (\S+)/.exec(line)?.[1];
    if (url === undefined) continue;
    up.stdout.resume();
    return { up, url };
  }
  throw new Error('it ended before it was ready');
}

test('after a killed supervisor all has ended, and the next one says what became of each invocation', async () => {
  const config = await testConfig();
  const paths = pathsOf(config);
  const first = await startUp({ ...paths, ONCEBOX_CONCURRENCY: '1' });
  const client = createClient(first.url);
  const long = {
    runtime: 'node',
    code: 'setTimeout(() => {}, 600000)',
    limits: { wallMs: 600_000 },
  } as const;
  const { id: ran } = await client.runAsync(long);
  await vi.waitFor(async () => expect((await client.invocation(ran)).status).toBe('running'), patience);
  const { id: waited } = await client.runAsync({ runtime: 'bash', code: 'echo 1' });
  first.up.kill('SIGKILL');
  await vi.waitFor(
    async () => expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] }),
    patience,
  );

  const second = await startUp(paths);
  try {
    const after = createClient(second.url);
    await vi.waitFor(async () => {
      expect((await after.invocation(ran)).outcome?.status).toBe('lost');
      expect((await after.invocation(waited)).outcome?.status).toBe('ok');
    }, patience);
  } finally {
    const ended = new Promise((resolve) => second.up.once('exit', resolve));
    second.up.kill('SIGTERM');
    await ended;
    await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
  }
}, 400_000);
