import { beforeEach, describe, expect, test } from 'vitest';
import { createRegistry, type Deployment, type Registry } from '../../services/registry/registry.ts';
import { nodeImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
let registry: Registry;
/** What the next choice goes by. */
let drawn = 0;
beforeEach(async () => {
  registry = createRegistry(redis.redis, undefined, () => drawn);
  for (const number of [1, 2, 3]) await registry.deploy(version(number));
});

const version = (number: number): Deployment => ({
  name: 'hello',
  image: { ...nodeImage, reference: 'localhost/node:latest' },
  runtime: 'node',
  handler: 'index.handler',
  env: { N: String(number) },
  limits: {},
  files: [{ path: 'index.cjs', data: Buffer.from('') }],
});

async function chosen(reference: string, draw: number): Promise<number> {
  drawn = draw;
  return (await registry.resolve(reference)).version;
}

test('an alias points at its version, whatever the name points at', async () => {
  const alias = await registry.putAlias('hello', 'prod', { version: 1 });
  expect(alias).toMatchObject({ name: 'prod', version: 1, weights: {} });
  expect(await registry.aliases('hello')).toEqual([alias]);
  expect(await chosen('hello:prod', 0.5)).toBe(1);
  expect(await chosen('hello', 0.5)).toBe(3);
  expect(await chosen('hello:2', 0.5)).toBe(2);
  expect((await registry.get('hello')).aliases).toEqual([alias]);
});

test('an alias with weights gives each version exactly its part of 0 to 1', async () => {
  await registry.putAlias('hello', 'prod', { version: 1, weights: { 2: 0.1, 3: 0.2 } });
  const ends = [0, 0.0999999999, 0.1, 0.2999999999, 0.3, 0.9999999999];
  const versions = [];
  for (const draw of ends) versions.push(await chosen('hello:prod', draw));
  expect(versions).toEqual([2, 2, 3, 3, 1, 1]);
});

test('weights of 0 and of 1 choose never and always', async () => {
  await registry.putAlias('hello', 'all', { version: 1, weights: { 2: 1 } });
  await registry.putAlias('hello', 'none', { version: 1, weights: { 2: 0 } });
  for (const draw of [0, 0.5, 1 - Number.EPSILON]) {
    expect(await chosen('hello:all', draw)).toBe(2);
    expect(await chosen('hello:none', draw)).toBe(1);
  }
});

test('draws that are spread evenly are shared as the weights say, to one call', async () => {
  await registry.putAlias('hello', 'prod', { version: 1, weights: { 2: 0.05, 3: 0.25 } });
  const counts = new Map<number, number>();
  const calls = 400;
  for (let call = 0; call < calls; call++) {
    const found = await chosen('hello:prod', call / calls);
    counts.set(found, (counts.get(found) ?? 0) + 1);
  }
  expect(Object.fromEntries(counts)).toEqual({ 1: 280, 2: 20, 3: 100 });
});

test('by chance, too, the weights are kept: six standard deviations are one wrong alarm in a thousand million', async () => {
  const random = createRegistry(redis.redis);
  await random.putAlias('hello', 'prod', { version: 1, weights: { 2: 0.25 } });
  const calls = 2000;
  const found = await Promise.all(Array.from({ length: calls }, () => random.resolve('hello:prod')));
  const canary = found.filter((item) => item.version === 2).length;
  const deviation = Math.sqrt(calls * 0.25 * 0.75);
  expect(Math.abs(canary - calls * 0.25)).toBeLessThan(6 * deviation);
  expect(new Set(found.map((item) => item.version))).toEqual(new Set([1, 2]));
});

test('what is not there is said: function, version, alias', async () => {
  const code = (reference: string) =>
    registry.resolve(reference).then(
      () => 'found',
      (error: { code: string }) => error.code,
    );
  const references = [
    'nobody',
    'nobody:prod',
    'nobody:1',
    'hello:prod',
    'hello:4',
    'hello:',
    'hello:0',
    'a:b:c',
    '',
  ];
  const codes = [];
  for (const reference of references) codes.push(await code(reference));
  expect(codes).toEqual([
    ...[
      'function_not_found',
      'function_not_found',
      'function_not_found',
      'alias_not_found',
      'version_not_found',
    ],
    ...['function_not_found', 'function_not_found', 'function_not_found', 'function_not_found'],
  ]);
  await expect(registry.deleteAlias('hello', 'prod')).rejects.toMatchObject({ code: 'alias_not_found' });
  await expect(registry.deleteAlias('nobody', 'prod')).rejects.toMatchObject({ code: 'function_not_found' });
  await expect(registry.aliases('nobody')).rejects.toMatchObject({ code: 'function_not_found' });
});

test('an alias of a version that is not there is refused, and the alias stays as it was', async () => {
  await registry.putAlias('hello', 'prod', { version: 1 });
  await expect(registry.putAlias('hello', 'prod', { version: 9 })).rejects.toMatchObject({
    code: 'invalid_request',
    details: { field: 'version' },
  });
  await expect(registry.putAlias('hello', 'prod', { version: 2, weights: { 8: 0.1 } })).rejects.toMatchObject(
    { details: { field: 'weights.8' } },
  );
  expect(await registry.aliases('hello')).toMatchObject([{ version: 1, weights: {} }]);
});

test('a function has a hundred aliases at most, and one of those can still be changed', async () => {
  for (let i = 0; i < 100; i++) await registry.putAlias('hello', `a${i}`, { version: 1 });
  await expect(registry.putAlias('hello', 'more', { version: 1 })).rejects.toMatchObject({
    code: 'invalid_request',
  });
  expect(await registry.putAlias('hello', 'a7', { version: 2 })).toMatchObject({ version: 2 });
});

describe('of a function that is kept warm', () => {
  const kept = async () => {
    const found = await registry.kept((settings) => (settings as { keepWarm: number }).keepWarm);
    return Object.fromEntries(found.map(({ found: { version }, count }) => [version, count]));
  };
  beforeEach(() => registry.putSettings('hello', { keepWarm: 10 }));

  test('sandboxes are kept for the current version, and as many for that of an alias', async () => {
    expect(await kept()).toEqual({ 3: 10 });
    await registry.putAlias('hello', 'prod', { version: 2 });
    expect(await kept()).toEqual({ 2: 10, 3: 10 });
    await registry.deploy(version(4));
    expect(await kept(), 'a deploy takes none from production').toEqual({ 2: 10, 4: 10 });
    await registry.deleteAlias('hello', 'prod');
    expect(await kept()).toEqual({ 4: 10 });
  });

  test('weights share them out, rounded up', async () => {
    await registry.putAlias('hello', 'prod', { version: 1, weights: { 2: 0.11 } });
    expect(await kept()).toEqual({ 1: 9, 2: 2, 3: 10 });
    await registry.putAlias('hello', 'prod', { version: 1, weights: { 2: 0.7, 3: 0.3 } });
    expect(await kept(), 'none for what is never called').toEqual({ 2: 7, 3: 10 });
  });

  test('a version that several aliases call has what one of them needs', async () => {
    await registry.putAlias('hello', 'prod', { version: 1, weights: { 2: 0.5 } });
    await registry.putAlias('hello', 'canary', { version: 2, weights: { 1: 0.1 } });
    expect(await kept()).toEqual({ 1: 5, 2: 9, 3: 10 });
  });

  test('one that aliases point at and that is kept warm no more has none', async () => {
    await registry.putAlias('hello', 'prod', { version: 1 });
    await registry.putSettings('hello', {});
    const found = await registry.kept((settings) => (settings as { keepWarm?: number }).keepWarm ?? 0);
    expect(found).toEqual([]);
  });
});
