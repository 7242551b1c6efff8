import { expect, test, vi } from 'vitest';
import type { SandboxList, SandboxRecord } from '../../sdk/contract/node.ts';
import { joinNodeDirectory } from '../../services/queue/node-directory.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

const sandboxOn = (node: string): SandboxRecord => ({
  id: `${node}-1`,
  state: 'created',
  runtime: 'node',
  image: { digest: 'sha256:0' },
  start: 'warm',
  writableBytes: 0,
  virtualBytes: 0,
  memoryBytes: 1,
  memoryPeakBytes: 2,
  ageMs: 3,
  node,
});

async function join(
  node: string,
  listSandboxes: () => SandboxRecord[] | Promise<SandboxRecord[]>,
  identity = node,
) {
  const info = {
    node,
    pid: 1,
    concurrency: 4,
    startedAt: new Date(0).toISOString(),
    isolations: ['native' as const],
  };
  const subscriber = redis.connect();
  const errors: unknown[] = [];
  const options = { redis: redis.redis, subscriber, node: info, identity, listSandboxes };
  const { leave } = await joinNodeDirectory({ ...options, onError: (error) => errors.push(error) });
  return { info, leave };
}

async function get(path: string) {
  const response = await gateway.app.request(path);
  return { status: response.status, body: await response.json() };
}

/** A node has half a second to answer, which one on a busy machine may miss: whoever asks again has it. */
function expectListed(list: SandboxList): Promise<void> {
  const listed = async () => expect((await get('/v1/sandboxes')).body).toEqual(list);
  return vi.waitFor(listed, 60_000);
}

test('the gateway is healthy at once and ready when a worker is registered', async () => {
  expect(await get('/healthz')).toMatchObject({ status: 200 });
  expect(await get('/readyz')).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
  const { leave } = await join('a', () => []);
  expect(await get('/readyz')).toMatchObject({ status: 200, body: { status: 'ready', workers: 1 } });
  await leave();
  expect(await get('/readyz')).toMatchObject({ status: 503 });
});

test('nodes are listed, and gone when they leave', async () => {
  const b = await join('b', () => []);
  const a = await join('a', () => []);
  expect((await get('/v1/nodes')).body).toEqual({ nodes: [a.info, b.info] });
  await a.leave();
  expect((await get('/v1/nodes')).body).toEqual({ nodes: [b.info] });
  await b.leave();
});

test('the worker that follows a dead one takes its place in the list', async () => {
  await redis.redis.sadd('oncebox:nodes', 'dead');
  await redis.redis.set('oncebox:node:dead', '{}');
  await redis.redis.set('oncebox:node-of:machine', 'dead');
  const next = await join('next', () => [], 'machine');
  expect((await get('/v1/nodes')).body).toEqual({ nodes: [next.info] });
  await next.leave();
});

test('a node whose key has expired is forgotten', async () => {
  await redis.redis.sadd('oncebox:nodes', 'crashed');
  expect((await get('/v1/nodes')).body).toEqual({ nodes: [] });
  expect(await redis.redis.smembers('oncebox:nodes')).toEqual([]);
});

test('the sandboxes of all nodes are gathered', async () => {
  const nodes = await Promise.all(['a', 'b'].map((name) => join(name, () => [sandboxOn(name)])));
  await expectListed({
    sandboxes: expect.arrayContaining([sandboxOn('a'), sandboxOn('b')]),
    silentNodes: [],
  });
  for (const { leave } of nodes) await leave();
});

test('a node that does not answer is named, and the others are still listed', async () => {
  const a = await join('a', () => [sandboxOn('a')]);
  const b = await join('b', () => new Promise<SandboxRecord[]>(() => {}));
  await expectListed({ sandboxes: [sandboxOn('a')], silentNodes: ['b'] });
  await a.leave();
  await b.leave();
});

test('without nodes there are no sandboxes', async () => {
  expect((await get('/v1/sandboxes')).body).toEqual({ sandboxes: [], silentNodes: [] });
});
