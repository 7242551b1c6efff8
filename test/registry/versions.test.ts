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

const version = (number: number, code = String(number)): Deployment => ({
  name: 'hello',
  image: { ...nodeImage, reference: 'localhost/node:latest' },
  runtime: 'node',
  handler: 'index.handler',
  env: { N: String(number) },
  limits: {},
  files: [{ path: 'index.cjs', data: Buffer.from(code) }],
});
const deploy = async (...numbers: number[]) => {
  for (const number of numbers) await registry.deploy(version(number));
};
const current = async () => (await registry.get('hello')).current;

test('each rollback goes one deploy further back, until there is none', async () => {
  await deploy(1, 2, 3);
  expect(await registry.rollback('hello')).toMatchObject({ name: 'hello', version: 2 });
  expect(await registry.rollback('hello')).toMatchObject({ version: 1 });
  await expect(registry.rollback('hello')).rejects.toMatchObject({ code: 'version_not_found' });
  expect(await current()).toBe(1);
});

test('what was current is what a rollback goes back to, not the number below', async () => {
  await deploy(1, 2, 3, 1);
  expect(await current()).toBe(1);
  await registry.rollback('hello');
  expect(await current()).toBe(3);
  await deploy(3);
  await registry.rollback('hello');
  expect(await current(), 'a deploy of what is current is no move').toBe(2);
});

test('a rollback to a version can be taken back by another', async () => {
  await deploy(1, 2, 3);
  expect(await registry.rollback('hello', 1)).toMatchObject({ version: 1 });
  expect(await registry.rollback('hello')).toMatchObject({ version: 3 });
  await expect(registry.rollback('hello', 4)).rejects.toMatchObject({ code: 'version_not_found' });
  await expect(registry.rollback('nobody')).rejects.toMatchObject({ code: 'function_not_found' });
});

test('a rollback passes over versions that are gone', async () => {
  await deploy(1, 2, 3);
  await registry.deleteVersion('hello', 2);
  expect(await registry.rollback('hello')).toMatchObject({ version: 1 });
});

test('the history of many moves is bounded', async () => {
  await deploy(1, 2);
  for (let i = 0; i < 500; i++) await registry.rollback('hello', (i % 2) + 1);
  const history = await redis.redis.hget('oncebox:function:hello', 'history');
  expect(history?.length).toBeLessThan(510);
  expect(history).toMatch(/^(\d+ )+$/);
  expect(await registry.rollback('hello')).toMatchObject({ version: 1 });
});

test('versions of a release without a history are gone back through by number', async () => {
  await deploy(1, 2, 3);
  await redis.redis.hdel('oncebox:function:hello', 'history');
  expect(await registry.rollback('hello')).toMatchObject({ version: 2 });
});

test('a version that the name or an alias points at is not deleted, and the message says which', async () => {
  await deploy(1, 2, 3, 4);
  await registry.putAlias('hello', 'prod', { version: 1 });
  await registry.putAlias('hello', 'canary', { version: 1, weights: { 2: 0.1 } });
  const refusal = (number: number) => registry.deleteVersion('hello', number).catch((error) => error);
  expect(await refusal(4)).toMatchObject({
    code: 'version_in_use',
    message: expect.stringContaining('the name'),
  });
  expect(await refusal(1)).toMatchObject({
    code: 'version_in_use',
    message: expect.stringMatching(/prod|canary/),
  });
  expect(await refusal(2)).toMatchObject({
    code: 'version_in_use',
    message: expect.stringContaining('"canary"'),
  });
  expect(await refusal(5)).toMatchObject({ code: 'version_not_found' });
  expect((await registry.get('hello')).versions).toHaveLength(4);
});

test('a deleted version takes its layer with it, unless another version or function has it', async () => {
  const layerOf = async (deployment: Deployment) =>
    (await registry.deploy(deployment)).deployed.codeLayer ?? '';
  const own = await layerOf(version(1, 'own'));
  const shared = await layerOf(version(2, 'shared'));
  await layerOf(version(3, 'shared'));
  await registry.deleteVersion('hello', 1);
  await registry.deleteVersion('hello', 2);
  await expect(fetchCodeLayer(redis.redis, own)).rejects.toMatchObject({ code: 'function_not_found' });
  expect((await fetchCodeLayer(redis.redis, shared)).byteLength).toBeGreaterThan(0);
  await expect(registry.resolve('hello:1')).rejects.toMatchObject({ code: 'version_not_found' });
  expect((await registry.get('hello')).versions.map((item) => item.version)).toEqual([3]);
  await registry.delete('hello');
  expect(await redis.redis.keys('*')).toEqual([]);
});

test('what was deleted can be deployed again, under a number of its own', async () => {
  await deploy(1, 2);
  await registry.deleteVersion('hello', 1);
  expect((await registry.deploy(version(1))).deployed).toMatchObject({ version: 3 });
});
