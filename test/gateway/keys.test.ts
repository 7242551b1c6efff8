import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type CreatedKey, createdKeySchema, type Scope, scopeSchema } from '../../sdk/contract/key.ts';
import { accessOf } from '../../services/gateway/access-rules.ts';
import { isLambdaPath } from '../../services/gateway/lambda/paths.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const adminKey = `ocb_admin_${'a'.repeat(64)}`;
const gateway = useGateway(redis, { ONCEBOX_AUTH: 'required', ONCEBOX_ADMIN_KEY: adminKey });
const snippet = { runtime: 'node', code: '1' };

function ask(path: string, key: string | undefined, init: RequestInit = {}) {
  return gateway.app.request(path, {
    ...init,
    headers: { ...(key && { 'x-api-key': key }), ...init.headers },
  });
}

async function create(request: object, by = adminKey): Promise<CreatedKey> {
  const response = await gateway.postJson('/v1/keys', request, { headers: { 'x-api-key': by } });
  expect(response.status).toBe(201);
  expect(response.headers.get('cache-control')).toBe('no-store');
  return createdKeySchema.parse(await response.json());
}

async function errorOf(response: Response) {
  const { error } = (await response.json()) as { error: { code: string; message: string; field?: string } };
  return { status: response.status, ...error };
}

test('a key is shown when it is made, and never again', async () => {
  const made = await create({ name: 'ci', tenant: 'acme', scopes: ['invoke', 'invoke', 'read'] });
  expect(made).toMatchObject({ name: 'ci', tenant: 'acme', scopes: ['invoke', 'read'] });
  const list = await (await ask('/v1/keys', adminKey)).text();
  const { key, aws, ...shown } = made;
  for (const secret of [key, aws?.secretAccessKey]) expect(list).not.toContain(secret);
  expect(JSON.parse(list)).toEqual({ keys: [shown] });
});

test('a key opens as a bearer token and as x-api-key', async () => {
  const { key } = await create({ name: 'ci', scopes: ['read'] });
  const byBearer = { headers: { authorization: `Bearer ${key}` } };
  expect((await gateway.app.request('/v1/functions', byBearer)).status).toBe(200);
  expect((await ask('/v1/functions', key)).status).toBe(200);
});

test('without a key all but health and the document is a 401 that says what is asked for', async () => {
  for (const path of ['/healthz', '/openapi.json'])
    expect((await ask(path, undefined)).status, path).toBe(200);
  expect((await ask('/readyz', undefined)).status).toBe(503);
  for (const path of ['/metrics', '/v1/functions', '/v1/images', '/v1/none', '/none']) {
    const response = await ask(path, undefined);
    expect(response.headers.get('www-authenticate'), path).toBe('Bearer realm="oncebox"');
    expect(await errorOf(response), path).toMatchObject({ status: 401, code: 'unauthorized' });
  }
  expect((await ask('/none', adminKey)).status).toBe(404);
});

test('unknown, wrong, expired and deleted keys are refused in the same words', async () => {
  const { key, id } = await create({ name: 'a', scopes: ['read'] });
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const expiring = await create({ name: 'b', scopes: ['read'], expiresAt });
  const deleted = await create({ name: 'c', scopes: ['read'] });
  // All are known to the gateway before.
  for (const good of [key, expiring.key, deleted.key])
    expect((await ask('/v1/functions', good)).status).toBe(200);
  expect((await ask(`/v1/keys/${deleted.id}`, adminKey, { method: 'DELETE' })).status).toBe(204);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(expiresAt) });
  gateway.undo.push(() => vi.useRealTimers());
  const bad = [
    ...[`ocb_${'f'.repeat(20)}_${'0'.repeat(64)}`, `ocb_${id}_${'0'.repeat(64)}`, expiring.key, deleted.key],
    ...['', 'none', 'ocb_', `${adminKey}\u00e9`],
  ];
  const answers = new Set<string>();
  for (const one of bad) {
    const response = await gateway.app.request('/v1/functions', { headers: { 'x-api-key': one } });
    expect(response.status, one).toBe(401);
    answers.add(await response.text());
  }
  expect(answers.size).toBe(1);
});

test('a key that expired in the past, or asks for what is none, is not made', async () => {
  const right = { name: 'a', scopes: ['read'] };
  for (const [change, field] of [
    [{ expiresAt: '2020-01-01T00:00:00Z' }, 'expiresAt'],
    [{ expiresAt: 'tomorrow' }, 'expiresAt'],
    [{ scopes: [] }, 'scopes'],
    [{ scopes: ['root'] }, 'scopes.0'],
    [{ tenant: 'a:b' }, 'tenant'],
    [{ tenant: '../x' }, 'tenant'],
    [{ tenant: 'A' }, 'tenant'],
    [{ name: 'a\nb' }, 'name'],
    [{ key: 'mine' }, 'key'],
  ] as const) {
    const headers = { 'x-api-key': adminKey };
    const response = await gateway.postJson('/v1/keys', { ...right, ...change }, { headers });
    expect(await errorOf(response), JSON.stringify(change)).toMatchObject({ status: 400, field });
  }
  expect(await (await ask('/v1/keys', adminKey)).json()).toEqual({ keys: [] });
});

test('a key that is not there cannot be deleted', async () => {
  for (const id of ['0'.repeat(20), 'admin', 'A', 'a%3Ab'])
    expect(await errorOf(await ask(`/v1/keys/${id}`, adminKey, { method: 'DELETE' }))).toMatchObject({
      status: 404,
      code: 'key_not_found',
    });
});

describe('every route', () => {
  const path = (pattern: string) => pattern.replaceAll(/:\w+/g, 'x').replace('*', 'x');
  const routes = () =>
    // A handler for all methods is a route as well, but not our own middleware.
    gateway.app.routes.filter(({ path: pattern }) => pattern !== '/*');

  test('asks for one scope: with that or admin it is not refused, with all the others it is', async () => {
    const keys = {} as Record<Scope, string>;
    for (const scope of scopeSchema.options)
      keys[scope] = (await create({ name: scope, scopes: [scope] })).key;
    const others = async (needed: Scope) =>
      (
        await create({
          name: 'others',
          scopes: scopeSchema.options.filter((s) => s !== needed && s !== 'admin'),
        })
      ).key;
    for (const { method: ofRoute, path: pattern } of routes()) {
      const method = ofRoute === 'ALL' ? 'POST' : ofRoute;
      const access = accessOf(method, pattern);
      const name = `${method} ${pattern}`;
      if (access === 'open') {
        expect((await ask(path(pattern), undefined, { method })).status, name).not.toBe(401);
        continue;
      }
      expect(access, name).not.toBe('any key');
      if (access === 'any key') continue;
      const reply = await ask(path(pattern), await others(access), { method });
      const type = reply.headers.get('x-amzn-errortype');
      expect(type, name).toBe(isLambdaPath(pattern) ? 'AccessDeniedException' : null);
      const refused =
        type === null
          ? await errorOf(reply)
          : { ...((await reply.json()) as { message: string }), status: reply.status };
      expect(refused, name).toMatchObject({ status: 403, ...(type === null && { code: 'forbidden' }) });
      expect(refused.message).toContain(`"${access}"`);
      for (const key of [keys[access], keys.admin])
        expect([401, 403], name).not.toContain((await ask(path(pattern), key, { method })).status);
    }
    expect(routes().length).toBeGreaterThan(25);
  });

  test('that no rule knows is for admins', () => {
    expect(accessOf('POST', '/v1/new')).toBe('admin');
    expect(accessOf('PUT', '/v2/functions/:name')).toBe('admin');
    expect(accessOf('POST', '/v1/functionsx')).toBe('admin');
  });
});

test('figures are shown to keys of the default tenant and to admins', async () => {
  const ours = await create({ name: 'prometheus', scopes: ['read'] });
  const theirs = await create({ name: 'them', tenant: 'acme', scopes: ['read'] });
  const theirAdmin = await create({ name: 'them', tenant: 'acme', scopes: ['admin'] });
  expect((await ask('/metrics', ours.key)).status).toBe(200);
  expect((await ask('/metrics', theirAdmin.key)).status).toBe(200);
  expect((await ask('/metrics', theirs.key)).status).toBe(403);
});

describe('the tenant of a request', () => {
  const tenants: string[] = [];
  beforeEach(() => {
    tenants.length = 0;
    return gateway.startWorker(async (job) => {
      tenants.push(job.data.tenant);
      return finished(job);
    });
  });
  const run = (key: string, tenant?: string) =>
    gateway.postJson('/v1/run', snippet, {
      headers: { 'x-api-key': key, ...(tenant !== undefined && { 'oncebox-tenant': tenant }) },
    });

  test('is that of its key', async () => {
    const { key } = await create({ name: 'a', tenant: 'acme', scopes: ['invoke'] });
    expect((await run(key)).status).toBe(200);
    expect((await run(key, 'acme')).status).toBe(200);
    expect((await run(adminKey)).status).toBe(200);
    expect(tenants).toEqual(['acme', 'acme', 'default']);
  });

  test('is another only where an admin says so', async () => {
    const { key } = await create({ name: 'a', tenant: 'acme', scopes: ['invoke', 'read', 'deploy'] });
    expect(await errorOf(await run(key, 'zeta'))).toMatchObject({ status: 403, code: 'forbidden' });
    expect((await run(adminKey, 'zeta')).status).toBe(200);
    expect(tenants).toEqual(['zeta']);
  });

  test.each(['A', 'a:b', '*', 'a'.repeat(64), ''])('cannot be called %j', async (tenant) => {
    expect(await errorOf(await run(adminKey, tenant))).toMatchObject({
      status: 400,
      field: 'oncebox-tenant',
    });
    expect(tenants).toEqual([]);
  });
});

test('no key gets into a job, a reply or what Redis keeps', async () => {
  const { key } = await create({ name: 'a', tenant: 'acme', scopes: ['invoke'] });
  let job = '';
  await gateway.startWorker(async (taken) => {
    job = JSON.stringify(taken.data);
    return finished(taken);
  });
  const secret = key.slice(key.lastIndexOf('_') + 1);
  for (const headers of [{ 'x-api-key': key }, { authorization: `Bearer ${key}` }]) {
    const response = await gateway.postJson('/v1/run', snippet, { headers });
    expect(response.status).toBe(200);
    expect(await response.text()).not.toContain(secret);
    expect(job).toContain('"tenant":"acme"');
    expect(job).not.toContain(secret);
  }
  const wrong = await gateway.postJson('/v1/run', snippet, { headers: { 'x-api-key': `${key}x` } });
  expect(await wrong.text()).not.toContain(secret);
  const texts = await Promise.all((await redis.redis.keys('*')).map((name) => redis.redis.dump(name)));
  expect(texts.length).toBeGreaterThan(0);
  for (const text of texts) expect(String(text)).not.toContain(secret);
});

afterEach(() => vi.useRealTimers());
