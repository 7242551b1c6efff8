import { beforeEach, describe, expect, test } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { createdKeySchema } from '../../sdk/contract/key.ts';
import type { Quotas } from '../../sdk/contract/tenant.ts';
import { appendEvents } from '../../services/queue/event-stream.ts';
import { readFiles, saveFiles } from '../../services/queue/invocation-files.ts';
import { packCodeLayer } from '../../services/registry/code-layer.ts';
import { createDiffRecorder } from '../../services/worker/record-diff.ts';
import { finished, gate, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const adminKey = `ocb_admin_${'a'.repeat(64)}`;
const queueMax = 6;
const gateway = useGateway(redis, {
  ONCEBOX_AUTH: 'required',
  ONCEBOX_ADMIN_KEY: adminKey,
  ONCEBOX_QUEUE_MAX: `${queueMax}`,
});
const snippet = { runtime: 'node', code: '1' };
let key: string;

beforeEach(async () => {
  const request = { name: 'a', tenant: 'acme', scopes: ['read', 'invoke', 'deploy'] };
  const made = await gateway.postJson('/v1/keys', request, { headers: { 'x-api-key': adminKey } });
  key = createdKeySchema.parse(await made.json()).key;
});

function ask(path: string, init: RequestInit = {}, by = key): Promise<Response> {
  return Promise.resolve(
    gateway.app.request(path, { ...init, headers: { 'x-api-key': by, ...(init.headers as object) } }),
  );
}

function put(name: string, body: unknown, by = adminKey): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return ask(`/v1/tenants/${name}`, { method: 'PUT', body: JSON.stringify(body), headers }, by);
}

async function allow(quotas: Quotas) {
  expect((await put('acme', { quotas })).status).toBe(200);
}

function run(headers: Record<string, string> = {}): Promise<Response> {
  return gateway.postJson('/v1/run', snippet, { headers: { 'x-api-key': key, ...headers } });
}
const accept = (by = key, headers: Record<string, string> = {}) =>
  run({ prefer: 'respond-async', 'x-api-key': by, ...headers });

async function errorOf(response: Response) {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, ...error };
}

/** A place is taken before that: until it is accepted, nobody knows a key again. */
async function accepted(): Promise<number> {
  const { invocations } = (await (await ask('/v1/invocations')).json()) as { invocations: object[] };
  return invocations.length;
}

async function usage(): Promise<Record<string, number>> {
  return ((await (await ask('/v1/tenants/acme')).json()) as { usage: Record<string, number> }).usage;
}

describe('tenants', () => {
  test('are listed with their quotas; a key makes one, and the default one is always there', async () => {
    await put('zeta', { quotas: { concurrency: 3 } });
    expect(await (await ask('/v1/tenants', {}, adminKey)).json()).toEqual({
      tenants: [
        { name: 'acme', quotas: {} },
        { name: 'default', quotas: {} },
        { name: 'zeta', quotas: { concurrency: 3 } },
      ],
    });
  });

  test("see themselves and no others, and set nobody's quotas", async () => {
    await put('zeta', { quotas: {} });
    expect((await ask('/v1/tenants/acme')).status).toBe(200);
    for (const name of ['zeta', 'default', 'none', 'A'])
      expect(await errorOf(await ask(`/v1/tenants/${name}`)), name).toMatchObject({
        code: 'tenant_not_found',
      });
    expect((await ask('/v1/tenants')).status).toBe(403);
    expect((await put('acme', { quotas: {} }, key)).status).toBe(403);
    expect((await ask('/v1/tenants/zeta', {}, adminKey)).status).toBe(200);
  });

  test.each([
    ['quotas.concurrency', { quotas: { concurrency: 0 } }],
    ['quotas.cpuSecondsPerDay', { quotas: { cpuSecondsPerDay: 1.5 } }],
    ['quotas.requestsPerMinute', { quotas: { requestsPerMinute: '1' } }],
    ['quotas.rate', { quotas: { rate: 1 } }],
    ['quotas', {}],
  ])('with a wrong %s are refused', async (field, body) => {
    expect(await errorOf(await put('acme', body))).toMatchObject({ status: 400, field });
  });
});

describe('a quota of requests', () => {
  test('is told with every reply, refuses what is beyond, and is counted by tenant', async () => {
    await allow({ requestsPerMinute: 3 });
    for (const left of [2, 1, 0]) {
      const { status, headers } = await ask('/v1/functions');
      expect(status).toBe(200);
      expect(headers.get('ratelimit-limit')).toBe('3');
      expect(headers.get('ratelimit-remaining')).toBe(String(left));
      expect(headers.get('ratelimit-policy')).toBe('"requests";q=3;w=60');
      expect(headers.get('ratelimit')).toMatch(new RegExp(`^"requests";r=${left};t=([1-9]|[1-5][0-9]|60)$`));
    }
    for (const path of ['/v1/functions', '/v1/none']) {
      const refused = await ask(path);
      expect(refused.headers.get('ratelimit-remaining')).toBe('0');
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused.headers.get('retry-after')).toBe(refused.headers.get('ratelimit-reset'));
      expect(await errorOf(refused)).toMatchObject({ status: 429, code: 'rate_limited' });
    }
    expect((await ask('/healthz')).status).toBe(200);
    const others = await ask('/v1/functions', {}, adminKey);
    expect([others.status, others.headers.get('ratelimit')]).toEqual([200, null]);
  });

  test('that is raised or lifted holds from the next request on', async () => {
    await allow({ requestsPerMinute: 1 });
    await ask('/v1/functions');
    expect((await ask('/v1/functions')).status).toBe(429);
    await allow({ requestsPerMinute: 1_000 });
    expect((await ask('/v1/functions')).status).toBe(200);
    await allow({});
    expect((await ask('/v1/functions')).headers.get('ratelimit')).toBeNull();
  });

  test('counts a request that a missing scope refuses', async () => {
    await allow({ requestsPerMinute: 2 });
    expect((await ask('/v1/keys')).status).toBe(403);
    expect((await usage()).requestsThisMinute).toBe(2);
    expect((await ask('/v1/keys')).status).toBe(429);
  });
});

describe('a quota of concurrency', () => {
  test('bounds what waits and runs; what ends makes place', async () => {
    await allow({ concurrency: 2 });
    const ids: string[] = [];
    for (let n = 0; n < 2; n++) ids.push(((await (await accept()).json()) as Invocation).id);
    expect((await usage()).concurrency).toBe(2);
    for (const refused of [await accept(), await run()]) {
      expect(refused.headers.get('retry-after')).toBe('1');
      expect(await errorOf(refused)).toMatchObject({ status: 429, code: 'quota_exceeded' });
    }
    expect(await gateway.queue.waiting()).toBe(2);
    expect((await ask(`/v1/invocations/${ids[0]}`, { method: 'DELETE' })).status).toBe(200);
    expect((await accept()).status).toBe(202);
    expect((await accept()).status).toBe(429);
  });

  test('of one lets a caller go on who waits for each reply before he asks again', async () => {
    await gateway.startWorker(async (job) => finished(job));
    await allow({ concurrency: 1 });
    for (let n = 0; n < 20; n++) expect((await run()).status).toBe(200);
  });

  test('is not used up by what the queue refuses', async () => {
    await allow({ concurrency: 1 });
    for (let n = 0; n < queueMax; n++) expect((await accept(adminKey)).status).toBe(202);
    // The place beyond the end, for one that has nothing waiting.
    expect((await accept(adminKey, { 'oncebox-priority': 'high' })).status).toBe(202);
    expect(await errorOf(await accept())).toMatchObject({ status: 429, code: 'queue_full' });
    expect((await usage()).concurrency).toBe(0);
  });

  test('has room for a request whose key stands for what has a place already', async () => {
    await allow({ concurrency: 1 });
    const first = await accept(key, { 'idempotency-key': 'k' });
    expect(first.status).toBe(202);
    const again = await accept(key, { 'idempotency-key': 'k' });
    expect(again.status).toBe(202);
    expect(await again.json()).toMatchObject({ id: first.headers.get('oncebox-invocation-id') });
    expect(await errorOf(await accept())).toMatchObject({ status: 429, code: 'quota_exceeded' });
    expect((await usage()).concurrency).toBe(1);
  });

  test('is exact when many ask at once', async () => {
    const started = gate();
    await gateway.startWorker(async (job) => {
      await started.opened;
      return finished(job);
    });
    await allow({ concurrency: 5 });
    const statuses = await Promise.all(Array.from({ length: 30 }, async () => (await accept()).status));
    started.open();
    expect(statuses.filter((status) => status === 202)).toHaveLength(5);
    expect(statuses.filter((status) => status === 429)).toHaveLength(25);
  });

  test('counts no repeat of a request with an idempotency key, and lets it in', async () => {
    await allow({ concurrency: 1 });
    const mayEnd = gate();
    await gateway.startWorker(async (job) => {
      await mayEnd.opened;
      return finished(job, { stdout: 'once' });
    });
    const headers = { 'idempotency-key': 'k' };
    const first = run(headers);
    await expect.poll(accepted).toBe(1);
    const repeated = run(headers);
    expect((await run({ ...headers, prefer: 'respond-async' })).status).toBe(202);
    expect((await usage()).concurrency).toBe(1);
    mayEnd.open();
    const texts = (await Promise.all([(await first).json(), (await repeated).json()])) as object[];
    expect(texts).toMatchObject([{ stdout: 'once' }, { stdout: 'once' }]);
  });

  test.each([
    ['who waits', {}],
    ['who does not wait', { prefer: 'respond-async' }],
  ])('gives the place back at once of a repeat and of a mismatch, of %s', async (_who, mode) => {
    await allow({ concurrency: 3 });
    const headers = { 'idempotency-key': 'k', ...mode };
    const left = new AbortController();
    const send = (code: string) =>
      gateway.postJson(
        '/v1/run',
        { runtime: 'node', code },
        { headers: { 'x-api-key': key, ...headers }, signal: left.signal },
      );
    const first = send('1');
    await expect.poll(accepted).toBe(1);
    expect((await send('2')).status).toBe(422);
    expect((await usage()).concurrency).toBe(1);
    const repeated = send('1');
    await expect.poll(async () => (await usage()).concurrency).toBe(1);
    await gateway.startWorker(async (job) => finished(job));
    await Promise.all([first, repeated]);
  });
});

test('a quota of CPU time refuses new invocations until the next day, and reading goes on', async () => {
  await allow({ cpuSecondsPerDay: 10 });
  await gateway.tenancy.ledger.addCpu(new Map([['acme', 10_500_000]]));
  const refused = await run();
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(86_400);
  expect(refused.headers.get('ratelimit')).toMatch(/^"cpu-seconds";r=0;t=\d+$/);
  expect(await errorOf(refused)).toMatchObject({ status: 429, code: 'quota_exceeded' });
  expect(await gateway.queue.waiting()).toBe(0);
  expect((await usage()).cpuSecondsToday).toBe(10.5);
  expect((await ask('/v1/functions')).status).toBe(200);
});

describe('a quota of storage', () => {
  const deploy = (name: string, bytes: number, mark = name) => {
    const content = `export const handler = () => 0; // ${mark}`.padEnd(bytes);
    const body = { runtime: 'node', handler: 'index.handler', files: [{ path: 'index.mjs', content }] };
    return gateway.postJson(`/v1/functions/${name}`, body, { method: 'PUT', headers: { 'x-api-key': key } });
  };

  test('bounds the code of all functions; the same code counts once, and what is deleted makes place', async () => {
    await allow({ storageBytes: 50_000 });
    expect((await deploy('a', 20_000)).status).toBe(201);
    const { storageBytes = 0 } = await usage();
    expect(storageBytes).toBeGreaterThan(20_000);
    expect(storageBytes).toBeLessThan(24_000);
    expect((await deploy('same', 20_000, 'a')).status).toBe(201);
    expect((await usage()).storageBytes).toBe(storageBytes);
    const refused = await deploy('b', 30_000);
    expect(await errorOf(refused)).toMatchObject({ status: 429, code: 'quota_exceeded' });
    expect((await ask('/v1/functions/b')).status).toBe(404);
    for (const name of ['a', 'same'])
      expect((await ask(`/v1/functions/${name}`, { method: 'DELETE' })).status).toBe(204);
    expect((await usage()).storageBytes).toBe(0);
    expect((await deploy('b', 30_000)).status).toBe(201);
  });

  test('is exact when many deploy at once', async () => {
    await allow({ storageBytes: 50_000 });
    const replies = await Promise.all(Array.from({ length: 12 }, (_, n) => deploy(`f${n}`, 10_000)));
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(4);
    expect(replies.filter(({ status }) => status === 429)).toHaveLength(8);
    expect((await usage()).storageBytes).toBeLessThanOrEqual(50_000);
  });

  test('counts archives that are kept with records, as long as they are', async () => {
    await saveFiles(redis.redis, 'inv_a', Buffer.alloc(1000), 60_000, 'acme');
    await saveFiles(redis.redis, 'inv_b', Buffer.alloc(500), 60_000, 'acme');
    await saveFiles(redis.redis, 'inv_c', Buffer.alloc(500), 60_000, 'zeta');
    expect((await usage()).storageBytes).toBe(1500);
    // As room is made for others.
    await redis.redis.del('oncebox:files:inv_a');
    expect((await usage()).storageBytes).toBe(500);
  });

  test('counts results that were streamed, as long as their events are kept', async () => {
    const events = [{ type: 'stdout' as const, text: 'not of the result' }];
    const chunk = { type: 'chunk' as const, text: 'ü'.repeat(500) };
    const append = (id: string, tenant: string) =>
      appendEvents(redis.redis, { id, tenant, events: [...events, chunk], keepMs: 60_000 });
    await append('inv_a', 'acme');
    await append('inv_a', 'acme');
    await append('inv_b', 'acme');
    await append('inv_c', 'zeta');
    expect((await usage()).storageBytes).toBe(3000);
    // As room is made for others.
    await redis.redis.del('oncebox:events:inv_a');
    expect((await usage()).storageBytes).toBe(1000);
  });

  test('keeps no archive beyond it, and the record says so', async () => {
    const { storage } = gateway.tenancy;
    const tar = await changesOf('written');
    const record = createDiffRecorder({
      redis: redis.redis,
      maxBytes: 1_000_000,
      keepMs: 60_000,
      withinQuota: (tenant, id, bytes, keep) =>
        storage.within({ tenant, what: id, bytes, quota: tar.byteLength }, keep),
    });
    expect(await record('inv_a', 'archive', tar, 'acme')).toMatchObject({
      files: { sizeBytes: tar.byteLength },
    });
    const second = await record('inv_b', 'archive', tar, 'acme');
    expect(second.files).toBeUndefined();
    expect(second.diffError).toContain('its quota is');
    expect(await readFiles(redis.redis, 'inv_b')).toBeUndefined();
  });
});

/** A tar as a sandbox's changes come. */
async function changesOf(content: string): Promise<Uint8Array> {
  return packCodeLayer([{ path: 'file', data: Buffer.from(content) }]).tar;
}
