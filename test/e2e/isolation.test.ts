import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { leftovers, testConfig } from '../support/platform.ts';

const walls = ['native', 'runc', 'gvisor'] as const;
let config: Config;
let platform: Platform;
let client: Client;

beforeAll(async () => {
  config = await testConfig();
  platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
  client = createClient(platform.url);
});
afterAll(async () => {
  await platform?.close();
  expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] });
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

test.each(walls)(
  'a snippet behind %s is the same over HTTP, and the record says which wall it was',
  async (isolation) => {
    const limits = { wallMs: 60_000 };
    const request = {
      runtime: 'bash',
      code: 'uname -r; cat; exit 3',
      stdin: 'in',
      isolation,
      limits,
    } as const;
    const invocation = await client.run(request);
    expect(invocation).toMatchObject({ isolation, outcome: { status: 'exited', exitCode: 3 } });
    expect(invocation.stdout).toMatch(/^\S+\nin$/);
    if (isolation !== 'native') expect(invocation.start).toBe('cold');
    // gVisor's kernel is not the host's.
    const native = await client.run({ runtime: 'bash', code: 'uname -r' });
    expect(invocation.stdout.split('\n')[0] === native.stdout.trim()).toBe(isolation !== 'gvisor');
  },
);

test.each(walls)("an image's command runs behind %s", async (isolation) => {
  const invocation = await client.run({
    image: 'bash',
    args: ['bash', '-c', 'id -u; pwd'],
    isolation,
    limits: { wallMs: 60_000 },
  });
  expect(invocation).toMatchObject({ isolation, outcome: { status: 'ok' }, stdout: '0\n/work\n' });
});

test.each(walls)('a function that is deployed behind %s is called there', async (isolation) => {
  const name = `wall-${isolation}`;
  const put = await fetch(`${platform.url}/v1/functions/${name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      runtime: 'python',
      handler: 'index.handler',
      isolation,
      limits: { wallMs: 60_000 },
      files: [{ path: 'index.py', content: 'def handler(event, context): return event * 2' }],
    }),
  });
  expect(put.status).toBe(201);
  const call = await fetch(`${platform.url}/v1/functions/${name}/invoke`, { method: 'POST', body: '21' });
  expect(await call.json()).toBe(42);
  const record = await client.invocation(call.headers.get('oncebox-invocation-id') as string);
  expect(record.isolation).toBe(isolation);
});

test('a run behind gVisor is listed while it runs, and can be cancelled', async () => {
  const code = 'sleep 500';
  const accepted = await fetch(`${platform.url}/v1/run`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'respond-async' },
    body: JSON.stringify({ runtime: 'bash', code, isolation: 'gvisor', limits: { wallMs: 600_000 } }),
  });
  const { id } = (await accepted.json()) as { id: string };
  const listed = async () => {
    const { sandboxes } = (await (await fetch(`${platform.url}/v1/sandboxes`)).json()) as {
      sandboxes: { invocationId?: string; start: string }[];
    };
    return sandboxes.find(({ invocationId }) => invocationId === id);
  };
  await expect.poll(listed, { timeout: 60_000 }).toMatchObject({ start: 'cold' });
  await fetch(`${platform.url}/v1/invocations/${id}`, { method: 'DELETE' });
  await expect
    .poll(async () => (await client.invocation(id)).outcome, { timeout: 60_000 })
    .toEqual({ status: 'cancelled' });
  await expect.poll(listed).toBeUndefined();
});

test('a node says which walls it has', async () => {
  const { nodes } = (await (await fetch(`${platform.url}/v1/nodes`)).json()) as {
    nodes: { isolations: string[] }[];
  };
  expect(nodes[0]?.isolations).toEqual([...walls]);
});
