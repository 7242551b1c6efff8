import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import { invocationSchema } from '../../sdk/contract/invocation.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { leftovers, mountCount, testConfig } from '../support/platform.ts';

const MiB = 1024 * 1024;
const patience = { timeout: 60_000, interval: 25 };
let mounts: number;
let config: Config;
let platform: Platform;
let client: Client;

beforeAll(async () => {
  mounts = await mountCount();
  config = await testConfig();
  platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
  client = createClient(platform.url);
});
afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

test('the first call of the README answers 2, with everything that an invocation has', async () => {
  const response = await fetch(`${platform.url}/v1/run`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"runtime":"node","code":"console.log(1+1)"}',
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('server-timing')).toMatch(
    /receive;dur=.*queue;dur=.*lease;dur=.*start;dur=.*run;dur=.*total;dur=/,
  );
  const invocation = invocationSchema.parse(await response.json());
  expect(invocation).toMatchObject({
    status: 'done',
    outcome: { status: 'ok' },
    start: 'warm',
    image: { digest: expect.stringMatching(/^sha256:[a-f0-9]{64}$/) },
    stdout: '2\n',
    stderr: '',
    stdoutTruncated: false,
    stderrTruncated: false,
  });
  expect(invocation).toHaveProperty('timings.runMs');
  expect(invocation).toHaveProperty('usage.memoryPeakBytes');
  expect(await client.invocation(invocation.id)).toEqual(invocation);
});

test.each([
  [
    'node',
    'const a = []; while (true) a.push(Buffer.alloc(1e6, 1))',
    { memoryBytes: 64 * MiB },
    'oom_killed',
  ],
  ['node', 'console.log("partial"); while (true) {}', { wallMs: 500 }, 'timeout'],
  ['python', 'raise ValueError("x")', {}, 'function_error'],
  ['bash', 'exit 7', {}, 'exited'],
  ['bash', 'kill -TERM $$', {}, 'signaled'],
  ['bash', 'yes', { stdoutBytes: 1000 }, 'limit_exceeded'],
] as const)('%s: "%s" %o is %s over HTTP', async (runtime, code, limits, status) => {
  expect((await client.run({ runtime, code, limits: { wallMs: 60_000, ...limits } })).outcome?.status).toBe(
    status,
  );
});

test('output is whole UTF-8 characters, also where the cap cuts one', async () => {
  const { stdout, stdoutTruncated } = await client.run({
    runtime: 'python',
    code: 'print("é" * 10)',
    limits: { stdoutBytes: 5 },
  });
  expect({ stdout, stdoutTruncated }).toEqual({ stdout: 'éé', stdoutTruncated: true });
});

test.each([
  [
    'node',
    'index.mjs',
    'export const handler = async (event, context) => ({ got: event, id: context.invocationId });',
  ],
  [
    'node',
    'index.cjs',
    'exports.handler = async (event, context) => ({ got: event, id: context.invocationId });',
  ],
  [
    'python',
    'index.py',
    'def handler(event, context):\n    return {"got": event, "id": context.invocation_id}',
  ],
] as const)('a %s handler in %s gets its event and its context', async (runtime, path, content) => {
  const name = `handler-${path.replace('.', '-')}`;
  await client.deploy(name, { runtime, files: [{ path, content }], handler: 'index.handler' });
  const { result, invocationId } = await client.invoke(name, { n: [1, 'é'] });
  expect(result).toEqual({ got: { n: [1, 'é'] }, id: invocationId });
});

test('a handler that throws, exits or does not load is a function error, and its record keeps the logs', async () => {
  const bad = {
    throws: 'export function handler() { console.log("before"); throw new TypeError("boo"); }',
    exits: 'export function handler() { console.log("before"); process.exit(0); }',
    loads: 'console.log("before"); const = 1;',
    misses: 'console.log("before"); export const other = 1;',
  };
  for (const [name, content] of Object.entries(bad)) {
    await client.deploy(name, {
      runtime: 'node',
      files: [{ path: 'index.mjs', content }],
      handler: 'index.handler',
    });
    const error = await client.invoke(name, {}).catch((reason) => reason);
    expect(error, name).toMatchObject({
      status: 500,
      code: 'function_error',
      invocationId: expect.any(String),
    });
    const { stdout } = await client.invocation(error.invocationId);
    expect(stdout, name).toBe(name === 'loads' ? '' : 'before\n');
  }
});

test('a function keeps nothing from one invocation to the next', async () => {
  const content = `import { existsSync, writeFileSync } from 'node:fs'; let count = 0;
    export function handler() { const left = existsSync('/tmp/left'); writeFileSync('/tmp/left', ''); return { left, count: ++count }; }`;
  await client.deploy('forgets', {
    runtime: 'node',
    files: [{ path: 'index.mjs', content }],
    handler: 'index.handler',
  });
  for (let call = 0; call < 4; call++) {
    expect((await client.invoke('forgets')).result).toEqual({ left: false, count: 1 });
  }
});

test('an asynchronous call is accepted at once and its record ends', async () => {
  const { id, status } = await client.runAsync({ runtime: 'bash', code: 'echo later' });
  expect(status).toBe('queued');
  await vi.waitFor(
    async () => expect(await client.invocation(id)).toMatchObject({ status: 'done', stdout: 'later\n' }),
    patience,
  );
});

test('a running sandbox is listed with what it uses, and cancelling ends it', async () => {
  const { id } = await client.runAsync({
    runtime: 'bash',
    code: 'head -c 1M /dev/zero > f; sleep 500',
    limits: { wallMs: 600_000 },
  });
  const mine = async () =>
    (await client.sandboxes()).sandboxes.find(({ invocationId }) => invocationId === id);
  const listed = await vi.waitFor(async () => {
    const found = await mine();
    expect(found?.writableBytes).toBeGreaterThanOrEqual(MiB);
    return found;
  }, patience);
  expect(listed).toMatchObject({ state: 'running', runtime: 'bash', memoryBytes: expect.any(Number) });
  await client.cancel(id);
  await vi.waitFor(
    async () => expect((await client.invocation(id)).outcome).toEqual({ status: 'cancelled' }),
    patience,
  );
  expect(listed?.start).toBe((await client.invocation(id)).start);
  await vi.waitFor(async () => expect(await mine()).toBeUndefined(), patience);
});

test('a caller who hangs up takes the container with him', async () => {
  const controller = new AbortController();
  const call = client.run(
    { runtime: 'bash', code: 'sleep 500', limits: { wallMs: 600_000 } },
    { signal: controller.signal },
  );
  const running = async () => (await client.sandboxes()).sandboxes.filter(({ state }) => state === 'running');
  await vi.waitFor(async () => expect(await running()).toHaveLength(1), patience);
  controller.abort();
  await expect(call).rejects.toThrow();
  await vi.waitFor(async () => expect(await running()).toEqual([]), patience);
});

test('a thousand mixed invocations all answer right, and at the end the host is as before', {
  timeout: 600_000,
}, async () => {
  const programs: [RuntimeName, string, string][] = [
    ['node', 'console.log(6*7)', 'ok'],
    ['python', 'print(6*7)', 'ok'],
    ['bash', 'echo 42; (sleep 100 &)', 'ok'],
    ['python', 'print(42); 1/0', 'function_error'],
    ['node', 'console.log(42); process.exit(2)', 'exited'],
  ];
  let next = 0;
  const worker = async () => {
    while (next < 1000) {
      const [runtime, code, status] = programs[next++ % programs.length] as (typeof programs)[number];
      const { outcome, stdout } = await client.run({ runtime, code, limits: { wallMs: 60_000 } });
      expect({ status: outcome?.status, stdout }).toEqual({ status, stdout: '42\n' });
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  await platform.close();
  expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] });
  expect(await mountCount()).toBe(mounts);
});
