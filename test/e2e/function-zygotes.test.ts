import { readFile, rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Invocation, invocationSchema } from '../../sdk/contract/invocation.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { descendants } from '../support/host.ts';
import { leftovers, mountCount, testConfig } from '../support/platform.ts';

const patience = { timeout: 60_000, interval: 25 };
const lines: string[] = [];
let mounts: number;
let config: Config;
let platform: Platform;

beforeAll(async () => {
  mounts = await mountCount();
  config = await testConfig();
  const log = { step() {}, event() {}, line: (_: string, line: string) => void lines.push(line) };
  platform = await startPlatform(config, { log });
});
afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true, force: true });
});

const sources = {
  node: (answer: number) => ({
    path: 'index.mjs',
    content: `for (const end = performance.now() + 500; performance.now() < end; );
      let calls = 0;
      export const handler = () => [${answer}, ++calls];`,
  }),
  python: (answer: number) => ({
    path: 'index.py',
    content: `import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass\ncalls = 0\n
def handler(event, context):\n    global calls\n    calls += 1\n    return [${answer}, calls]\n`,
  }),
};

async function deploy(
  name: string,
  runtime: 'node' | 'python',
  answer: number,
  more = {},
): Promise<Record<string, unknown>> {
  const body = { runtime, handler: 'index.handler', files: [sources[runtime](answer)], ...more };
  const response = await fetch(`${platform.url}/v1/functions/${name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.ok, await response.clone().text()).toBe(true);
  return (await response.json()) as Record<string, unknown>;
}

interface Call {
  value: unknown;
  timing: string;
  record: Invocation;
}

async function call(name: string): Promise<Call> {
  const response = await fetch(`${platform.url}/v1/functions/${name}/invoke`, { method: 'POST' });
  const value = await response.json();
  const id = response.headers.get('oncebox-invocation-id');
  const record = await (await fetch(`${platform.url}/v1/invocations/${id}`)).json();
  return {
    value,
    timing: response.headers.get('server-timing') ?? '',
    record: invocationSchema.parse(record),
  };
}

/** Calls until the initialisation is shared, and checks every answer on the way. */
async function untilShared(name: string, answer: number): Promise<void> {
  const values: unknown[] = [];
  await vi.waitFor(async () => {
    const { value, record } = await call(name);
    values.push(value);
    expect(record.init?.shared, `${JSON.stringify(values)}`).toBe(true);
  }, patience);
  for (const value of values) expect(value).toEqual([answer, 1]);
}

test.each(['node', 'python'] as const)(
  'a %s function with half a second of imports: the record tells who paid for them, and a new version its own',
  async (runtime) => {
    const name = `slow-${runtime}`;
    await deploy(name, runtime, 1);
    const first = await call(name);
    expect(first.record.init).toMatchObject({ shared: false });
    expect(first.record.init?.ms).toBeGreaterThanOrEqual(500);
    expect(first.timing).toContain(`init;dur=${first.record.init?.ms.toFixed(3)}`);
    await untilShared(name, 1);
    const shared = [];
    for (let calls = 0; calls < 5; calls++) shared.push(await call(name));
    for (const { value, record, timing } of shared) {
      expect(value).toEqual([1, 1]);
      expect(record).toMatchObject({ start: expect.stringMatching(/^(warm|fork)$/), init: { shared: true } });
      expect(record.init?.ms).toBeGreaterThanOrEqual(500);
      expect(timing).not.toContain('init');
    }
    await deploy(name, runtime, 2);
    await untilShared(name, 2);
  },
);

test('a version that is deployed with zygote: false initialises in every sandbox, and keeps its digest apart', async () => {
  const plain = await deploy('with', 'node', 3);
  const opted = await deploy('without', 'node', 3, { zygote: false });
  expect(opted).toMatchObject({ zygote: false });
  expect(plain).not.toHaveProperty('zygote');
  expect(opted.digest).not.toBe(plain.digest);
  for (let calls = 0; calls < 4; calls++) {
    const { value, record } = await call('without');
    expect(value).toEqual([3, 1]);
    expect(record.init?.shared).toBe(false);
  }
});

test('what cannot be shared is said once in the log, and answers all the same', async () => {
  const content = `import fs from 'node:fs';
    for (const end = performance.now() + 150; performance.now() < end; );
    const fd = fs.openSync('/function/index.mjs');
    export const handler = () => fs.readSync(fd, Buffer.alloc(10));`;
  await deploy('opens', 'node', 0, { files: [{ path: 'index.mjs', content }] });
  // Waited for by the worker's own words: the zone's last ones, of the same reason, come by another pipe and may be first.
  const said = () => lines.filter((line) => line.includes('without a zygote'));
  const values = new Set<unknown>();
  await vi.waitFor(async () => {
    values.add((await call('opens')).value);
    expect(said()).toHaveLength(1);
  }, patience);
  expect([...values]).toEqual([10]);
  expect(said()[0]).toContain('left a file open: /function/index.mjs');
  for (let calls = 0; calls < 3; calls++) expect((await call('opens')).value).toBe(10);
  expect(said()).toHaveLength(1);
});

test('under load a zone that dies costs no answer that had not begun', async () => {
  await deploy('dies', 'node', 4);
  await untilShared('dies', 4);
  const launcher = platform.pids().launcher as number;
  const zygotes: number[] = [];
  for (const pid of await descendants(launcher)) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    // In a sandbox a process has a third pid; the zygote is process 299 of its zone.
    if (environment.includes('"handler":"index.handler"') && /NSpid:\t\d+\t299\n/.test(status))
      zygotes.push(pid);
  }
  expect(zygotes.length).toBeGreaterThan(0);
  const calls = Array.from({ length: 12 }, () => call('dies'));
  for (const pid of zygotes) process.kill(pid, 'SIGKILL');
  const outcomes = (await Promise.all(calls)).map(({ record }) => record.outcome?.status);
  expect(outcomes.filter((status) => status !== 'ok' && status !== 'lost')).toEqual([]);
  // Until all is gone that stood in their zones, and begins nothing more.
  const { value } = await vi.waitFor(async () => {
    const next = await call('dies');
    expect(next.record.outcome?.status).not.toBe('lost');
    return next;
  }, patience);
  expect(value).toEqual([4, 1]);
});

test('nothing is left when it closes', async () => {
  await platform.close();
  expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] });
  expect(await mountCount()).toBe(mounts);
});
