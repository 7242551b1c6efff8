import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { Config } from '../../services/shared/config.ts';
import { deployExample, examples, invokeExample } from '../../services/up/examples.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { leftovers, mountCount, pathsOf, testConfig } from '../support/platform.ts';

const patience = { timeout: 60_000, interval: 50 };
const nothing = { processes: [], cgroups: [] };
const events: string[] = [];
const log = { step: () => {}, event: (text: string) => events.push(text), line: () => {} };
let mounts: number;
let config: Config;
let platform: Platform;

beforeAll(async () => {
  mounts = await mountCount();
  config = await testConfig();
  platform = await startPlatform(config, { log });
});

afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

test.each([
  ['node', 'console.log(1+1)'],
  ['python', 'print(1+1)'],
  ['bash', 'echo $((1+1))'],
])('%s code runs in a warm sandbox', async (runtime, code) => {
  const invocation = await run(runtime, code);
  expect(invocation).toMatchObject({
    status: 'done',
    outcome: { status: 'ok' },
    stdout: '2\n',
    start: 'warm',
  });
});

test.each(examples)('the example $name is deployed and answers', async (example) => {
  await deployExample(platform.url, example);
  const { result, start } = await invokeExample(platform.url, example);
  expect(JSON.parse(result)).toMatchObject({ greeting: 'Hello, oncebox!' });
  expect(start).toBe('fork');
  await vi.waitFor(
    async () => expect((await invokeExample(platform.url, example)).start).toBe('warm'),
    patience,
  );
});

test('a second instance on the same data directory is refused and told who runs there', async () => {
  await expect(startPlatform(config, { log })).rejects.toThrow(`another oncebox (process ${process.pid})`);
  expect((await run('bash', 'echo still here')).stdout).toBe('still here\n');
});

test('a taken port is refused before anything is started', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const other = { ...(await testConfig()), ONCEBOX_PORT: port ?? 0 };
  await expect(startPlatform(other, { log })).rejects.toThrow('the port is taken; set ONCEBOX_PORT');
  expect(await readdir(other.ONCEBOX_DATA_DIR)).toEqual([]);
  server.close();
  await rm(other.ONCEBOX_DATA_DIR, { recursive: true });
});

test.each(['worker', 'gateway', 'launcher', 'redis'])(
  'after the %s is killed service resumes',
  async (part) => {
    const pid = platform.pids()[part];
    expect(pid).toBeGreaterThan(0);
    process.kill(pid ?? Number.NaN, 'SIGKILL');
    await vi.waitFor(() => expect(platform.pids()[part]).not.toBe(pid), patience);
    await vi.waitFor(
      async () => expect((await run('node', 'console.log(1+1)')).stdout).toBe('2\n'),
      patience,
    );
    expect(events.some((text) => text.startsWith(`${part} ended by itself`))).toBe(true);
  },
);

test('an invocation under way is finished before the platform ends, and nothing is left behind', async () => {
  const { asked } = await underWay();
  await platform.close();
  expect((await asked).stdout).toBe('finished\n');
  expect(await readdir(config.runDir)).toEqual([]);
  expect(await leftovers(config)).toEqual(nothing);
  expect(await mountCount()).toBe(mounts);
});

test('when the supervisor is killed, everything else ends by itself', async () => {
  const other = await testConfig();
  const script = new URL('../../build/up.mjs', import.meta.url).pathname;
  const up = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, ONCEBOX_PORT: '0', ...pathsOf(other) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: up.stdout })) if (line.startsWith('Ready on')) break;
  expect((await leftovers(other)).processes.length, 'what is looked for can be found').toBeGreaterThan(4);
  up.kill('SIGKILL');
  await vi.waitFor(async () => expect(await leftovers(other)).toEqual(nothing), patience);
  expect(await mountCount()).toBe(mounts);
  await rm(other.ONCEBOX_DATA_DIR, { recursive: true });
});

async function run(runtime: string, code: string): Promise<Invocation> {
  const response = await fetch(`${platform.url}/v1/run`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ runtime, code, limits: { wallMs: 60_000 } }),
  });
  return (await response.json()) as Invocation;
}

/** Asks again until one is seen running: while a machine stands still, one is over before. */
async function underWay(): Promise<{ asked: Promise<Invocation> }> {
  for (let tries = 0; tries < 10; tries++) {
    const asked = run('node', 'setTimeout(() => console.log("finished"), 5000)');
    let isOver = false;
    const onOver = () => {
      isOver = true;
    };
    asked.then(onOver, onOver);
    while (!isOver) {
      if ((await running()) === 1) return { asked };
      await sleep(50);
    }
    await asked;
  }
  throw new Error('none was seen running');
}

async function running(): Promise<number> {
  const response = await fetch(`${platform.url}/v1/sandboxes`);
  const { sandboxes } = (await response.json()) as { sandboxes: { state: string }[] };
  return sandboxes.filter(({ state }) => state === 'running').length;
}
