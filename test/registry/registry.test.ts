import { createHash } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { layerKey } from '../../services/registry/keys.ts';
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
  env: { B: '2', A: '1' },
  limits: { wallMs: 5, pids: 2 },
  files: [{ path: 'index.cjs', data: Buffer.from([0, 255, 10, 13]) }],
};

test('a deploy of the same is the same version, in whatever order its settings come', async () => {
  const first = await registry.deploy(hello);
  const again = await registry.deploy({ ...hello, env: { A: '1', B: '2' }, limits: { pids: 2, wallMs: 5 } });
  expect([first.created, again.created]).toEqual([true, false]);
  expect(again.deployed).toEqual(first.deployed);
  expect(first.deployed).toMatchObject({ version: 1, sizeBytes: 4, env: { A: '1', B: '2' } });
});

test('each of runtime, code, handler, env and limits makes another digest', async () => {
  const digests = new Set<string>();
  const changes: Partial<Deployment>[] = [
    {},
    { runtime: 'python', files: [{ path: 'index.py', data: Buffer.from('') }] },
    { files: [{ path: 'index.cjs', data: Buffer.from('x') }] },
    { handler: 'index.other' },
    { env: {} },
    { limits: {} },
  ];
  for (const change of changes) digests.add((await registry.deploy({ ...hello, ...change })).deployed.digest);
  expect(digests.size).toBe(changes.length);
  expect((await registry.get('hello')).versions.map((version) => version.version)).toEqual([
    1, 2, 3, 4, 5, 6,
  ]);
});

test('deploying an old version again points the name back at it', async () => {
  await registry.deploy(hello);
  await registry.deploy({ ...hello, env: {} });
  expect((await registry.resolve('hello')).version).toBe(2);
  await registry.deploy(hello);
  expect((await registry.resolve('hello')).version).toBe(1);
  expect((await registry.deploy({ ...hello, env: { C: '3' } })).deployed.version).toBe(3);
});

test('concurrent deploys all get a number of their own', async () => {
  const deployed = await Promise.all(
    Array.from({ length: 20 }, (_, index) => registry.deploy({ ...hello, env: { N: String(index) } })),
  );
  const numbers = deployed.map((item) => item.deployed.version).sort((a, b) => a - b);
  expect(numbers).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
});

test('a code layer is fetched byte for byte by its digest', async () => {
  const { codeLayer = '' } = (await registry.deploy(hello)).deployed;
  const tar = await fetchCodeLayer(redis.redis, codeLayer);
  expect(createHash('sha256').update(tar).digest('hex')).toBe(codeLayer);
  await redis.redis.append(layerKey(codeLayer), 'x');
  await expect(fetchCodeLayer(redis.redis, codeLayer)).rejects.toMatchObject({ code: 'internal' });
});

test('deleting removes all versions, and only the layers that no other function uses', async () => {
  const { codeLayer: shared = '' } = (await registry.deploy(hello)).deployed;
  const files = [{ path: 'index.js', data: Buffer.from('own') }];
  const { codeLayer: own = '' } = (await registry.deploy({ ...hello, files })).deployed;
  await registry.deploy({ ...hello, name: 'other' });

  await registry.delete('hello');
  await expect(registry.get('hello')).rejects.toMatchObject({ code: 'function_not_found' });
  await expect(registry.resolve('hello')).rejects.toMatchObject({ code: 'function_not_found' });
  await expect(fetchCodeLayer(redis.redis, own)).rejects.toMatchObject({ code: 'function_not_found' });
  expect((await fetchCodeLayer(redis.redis, shared)).byteLength).toBeGreaterThan(0);

  await registry.delete('other');
  expect(await redis.redis.keys('*')).toEqual([]);
});

test.each(['index.mjs', 'index.js', 'index.cjs'])('%s can hold the handler index.handler', async (path) => {
  const files = [{ path, data: Buffer.from('') }];
  expect((await registry.deploy({ ...hello, files })).created).toBe(true);
});

test('a handler whose file is not there is refused, and the message says what was expected', async () => {
  await expect(registry.deploy({ ...hello, handler: 'lib/main.run' })).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining('lib/main.mjs or lib/main.js or lib/main.cjs'),
    details: { field: 'handler' },
  });
});
