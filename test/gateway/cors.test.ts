import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../services/shared/config.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const testRedis = useRedis();
const ours = 'https://app.example.org';
const preflight = (origin: string) => ({
  method: 'OPTIONS',
  headers: {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type,idempotency-key',
  },
});

describe('with origins that may call', () => {
  const gateway = useGateway(testRedis, { ONCEBOX_CORS_ORIGINS: `http://localhost:3000, ${ours}` });

  test('a page of theirs may send what a call has, and is not asked again for a while', async () => {
    const { status, headers } = await gateway.app.request('/v1/run', preflight(ours));
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe(ours);
    expect(headers.get('access-control-allow-headers')).toBe('authorization,content-type,idempotency-key');
    for (const method of ['GET', 'POST', 'PUT', 'DELETE'])
      expect(headers.get('access-control-allow-methods')).toContain(method);
    expect(Number(headers.get('access-control-max-age'))).toBeGreaterThan(0);
  });

  test.each([
    ['/v1/functions', 200],
    ['/v1/functions/nobody', 404],
    ['/v1/nothing', 404],
  ])('it may read the reply to %s, with all of its headers', async (path, status) => {
    const reply = await gateway.app.request(path, { headers: { origin: ours } });
    expect(reply.status).toBe(status);
    expect(reply.headers.get('access-control-allow-origin')).toBe(ours);
    expect(reply.headers.get('access-control-expose-headers')).toBe('*');
    expect(reply.headers.get('vary')).toContain('Origin');
  });

  test('pages of others may not, and cookies never go along', async () => {
    for (const origin of ['https://evil.example', 'https://app.example.org.evil.example', 'null', '']) {
      for (const request of [preflight(origin), { headers: { origin } }]) {
        const { headers } = await gateway.app.request('/v1/run', request);
        expect(headers.get('access-control-allow-origin')).toBe(null);
        expect(headers.get('access-control-allow-credentials')).toBe(null);
      }
    }
  });
});

describe('where keys are asked for', () => {
  const gateway = useGateway(testRedis, { ONCEBOX_CORS_ORIGINS: ours, ONCEBOX_AUTH: 'required' });

  test("the browser's own question needs none, and a page can read that it needs one", async () => {
    expect((await gateway.app.request('/v1/run', preflight(ours))).status).toBe(204);
    const reply = await gateway.app.request('/v1/functions', { headers: { origin: ours } });
    expect(reply.status).toBe(401);
    expect(reply.headers.get('access-control-allow-origin')).toBe(ours);
  });
});

describe('without', () => {
  const gateway = useGateway(testRedis);

  test('no page may call, and there is no answer to the question', async () => {
    const { status, headers } = await gateway.app.request('/v1/run', preflight(ours));
    expect(status).toBe(403);
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

test('what is no origin stops the start', () => {
  for (const wrong of [
    'example.org',
    'https://example.org/',
    'https://example.org/app',
    'HTTPS://Example.org',
    'null',
  ])
    expect(() => loadConfig({ ONCEBOX_CORS_ORIGINS: wrong })).toThrow('ONCEBOX_CORS_ORIGINS');
  for (const right of ['', '*', 'http://localhost:3000', 'http://a.example, https://b.example:8443'])
    expect(loadConfig({ ONCEBOX_CORS_ORIGINS: right }).ONCEBOX_CORS_ORIGINS).toBe(right);
});
