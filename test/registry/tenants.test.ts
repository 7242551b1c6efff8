import { beforeEach, expect, test } from 'vitest';
import { fetchCodeLayer } from '../../services/registry/layer-store.ts';
import { createRegistry, type Deployment, type Registry } from '../../services/registry/registry.ts';
import { nodeImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
let registry: Registry;
beforeEach(() => {
  registry = createRegistry(redis.redis);
});

const hello: Deployment = {
  name: 'hello',
  image: { ...nodeImage, reference: 'localhost/node:latest' },
  runtime: 'node',
  handler: 'index.handler',
  env: {},
  limits: {},
  files: [{ path: 'index.cjs', data: Buffer.from('') }],
};

test('two tenants have functions of one name, and each sees its own', async () => {
  await registry.deploy({ ...hello, tenant: 'acme', env: { OF: 'acme' } });
  await registry.deploy({ ...hello, tenant: 'umbrella', env: { OF: 'umbrella' } });
  await registry.deploy({ ...hello, tenant: 'umbrella', env: { OF: 'umbrella again' } });
  expect((await registry.resolve('hello', 'acme')).env).toEqual({ OF: 'acme' });
  expect((await registry.resolve('hello', 'umbrella')).env).toEqual({ OF: 'umbrella again' });
  expect(await registry.list('acme')).toHaveLength(1);
  expect(await registry.list()).toEqual([]);
  await expect(registry.resolve('hello')).rejects.toMatchObject({ code: 'function_not_found' });
  await expect(registry.resolve('hello:2', 'acme')).rejects.toMatchObject({ code: 'version_not_found' });
});

test("no name is another tenant's function", async () => {
  await registry.deploy({ ...hello, tenant: 'acme' });
  // Where the keys are put together, that is what the name would be.
  const name = 'acme:hello';
  await redis.redis.hset('oncebox:function:acme:hello', 'alias:prod', '{"version":1,"shares":[]}');
  for (const task of [
    () => registry.get(name),
    () => registry.delete(name),
    () => registry.imageOf(name),
    () => registry.rollback(name),
    () => registry.aliases(name),
    () => registry.putAlias(name, 'prod', { version: 1 }),
    () => registry.deleteAlias(name, 'prod'),
    () => registry.deleteVersion(name, 1),
    () => registry.deploy({ ...hello, name }),
    () => registry.resolve(name),
    () => registry.getSettings(name),
    () => registry.putSettings(name, { concurrency: 1 }),
  ]) {
    const refusal = await task().then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
    expect(refusal).toMatch(/^(function|alias)_not_found$/);
  }
  expect(await registry.list('acme')).toHaveLength(1);
  expect(await registry.getSettings('hello', 'acme')).toEqual({});
});

test('tenants with equal code share its layer, which stays while one of them has it', async () => {
  const { codeLayer = '' } = (await registry.deploy({ ...hello, tenant: 'acme' })).deployed;
  await registry.deploy({ ...hello, tenant: 'umbrella' });
  await registry.deploy(hello);
  expect((await registry.pinned()).layers).toEqual(new Set([codeLayer]));
  await registry.delete('hello');
  await registry.delete('hello', 'acme');
  expect((await registry.pinned()).layers).toEqual(new Set([codeLayer]));
  expect((await fetchCodeLayer(redis.redis, codeLayer)).byteLength).toBeGreaterThan(0);
  await registry.delete('hello', 'umbrella');
  expect((await registry.pinned()).layers).toEqual(new Set());
  expect(await redis.redis.keys('*')).toEqual([]);
});

test("the default tenant's functions are where releases without tenants left them", async () => {
  await registry.deploy(hello);
  await redis.redis.del('oncebox:function-tenants');
  expect(await redis.redis.exists('oncebox:function:hello', 'oncebox:functions')).toBe(2);
  expect((await registry.pinned()).layers.size).toBe(1);
});
