import { expect, test, vi } from 'vitest';
import { errorBodySchema, errorCodeSchema, errorStatus } from '../../sdk/contract/error.ts';
import { PlatformError } from '../../services/shared/platform-error.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

test('an unknown route is a 404 of the common form', async () => {
  for (const path of ['/v1', '/v1/runs', '/v1/functions/a/b', '/v1/functions//invoke']) {
    const response = await gateway.app.request(path, { method: 'POST' });
    expect([response.status, errorBodySchema.parse(await response.json()).error.code], path).toEqual([
      404,
      'route_not_found',
    ]);
  }
});

test('a wrong method is a 405 that lists the right ones', async () => {
  const response = await gateway.app.request('/v1/functions/a', { method: 'PATCH' });
  expect(response.status).toBe(405);
  expect(response.headers.get('allow')).toBe('DELETE, GET, PUT');
  expect(errorBodySchema.parse(await response.json()).error.code).toBe('method_not_allowed');
});

test('a bug is a 500 that tells the caller nothing of it', async () => {
  vi.spyOn(gateway.registry, 'list').mockRejectedValue(new TypeError('secret detail'));
  const response = await gateway.app.request('/v1/functions');
  const text = await response.text();
  expect([response.status, errorBodySchema.parse(JSON.parse(text)).error.code]).toEqual([500, 'internal']);
  expect(text).not.toContain('secret');
});

test('without Redis a request is a 503', async () => {
  const { redis: connection } = redis;
  await connection.config('SET', 'maxmemory', '1');
  try {
    const response = await gateway.postJson('/v1/run', { runtime: 'node', code: '' });
    expect([response.status, await response.json()]).toMatchObject([503, { error: { code: 'unavailable' } }]);
  } finally {
    await connection.config('SET', 'maxmemory', '0');
  }
});

test('codes and statuses agree: each code has an error status, and PlatformError carries it', () => {
  expect(errorCodeSchema.options).toEqual(Object.keys(errorStatus));
  for (const code of errorCodeSchema.options) {
    expect(errorStatus[code]).toBeGreaterThanOrEqual(400);
    expect(new PlatformError(code, 'x').status).toBe(errorStatus[code]);
  }
});

test('every reply carries a request id', async () => {
  for (const path of ['/healthz', '/nowhere']) {
    const response = await gateway.app.request(path);
    expect(response.headers.get('oncebox-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  }
});
