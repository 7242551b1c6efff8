import { expect, test } from 'vitest';
import { errorBodySchema } from '../../sdk/contract/error.ts';
import type { Isolation } from '../../sdk/contract/isolation.ts';
import type { InvocationJob } from '../../services/queue/job.ts';
import { joinNodeDirectory } from '../../services/queue/node-directory.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

async function join(node: string, isolations: Isolation[]) {
  const subscriber = redis.connect();
  const info = { node, pid: 1, concurrency: 4, startedAt: new Date(0).toISOString(), isolations };
  const onError = (error: unknown) => {
    throw error;
  };
  const options = {
    redis: redis.redis,
    subscriber,
    node: info,
    identity: 'n',
    listSandboxes: () => [],
    onError,
  };
  const { leave } = await joinNodeDirectory(options);
  gateway.undo.push(() => leave());
}

async function errorOf(response: Response) {
  return { status: response.status, ...errorBodySchema.parse(await response.json()).error };
}

const run = { runtime: 'bash', code: 'true' };
const deploy = {
  runtime: 'node',
  handler: 'index.handler',
  files: [{ path: 'index.js', content: 'exports.handler = () => 1' }],
};
const put = (body: unknown) =>
  gateway.app.request('/v1/functions/f', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

test('a wall that one of the nodes lacks is refused before anything is enqueued', async () => {
  await join('has', ['native', 'runc', 'gvisor']);
  await join('lacks', ['native', 'runc']);
  const refused = { status: 400, code: 'unsupported', field: 'isolation' };
  const error = await errorOf(await gateway.postJson('/v1/run', { ...run, isolation: 'gvisor' }));
  expect(error).toMatchObject(refused);
  expect(error.message).toMatch(/needs runsc on every node: install it on lacks/);
  expect(await errorOf(await put({ ...deploy, isolation: 'gvisor' }))).toMatchObject(refused);
  expect(await redis.redis.keys('oncebox:invocations:inv_*')).toEqual([]);
});

test('a wall that nobody knows is malformed', async () => {
  const error = await errorOf(await gateway.postJson('/v1/run', { ...run, isolation: 'paper' }));
  expect(error).toMatchObject({ status: 400, code: 'invalid_request', field: 'isolation' });
});

test('a wall that all nodes have is in the job of a run and of a call', async () => {
  await join('has', ['native', 'runc', 'gvisor']);
  const jobs: InvocationJob[] = [];
  await gateway.startWorker(async (job) => {
    jobs.push(job.data);
    return finished(job, { outcome: { status: 'ok', result: 1 }, isolation: 'gvisor' });
  });
  const response = await gateway.postJson('/v1/run', { ...run, isolation: 'gvisor' });
  expect(await response.json()).toMatchObject({ isolation: 'gvisor' });
  const deployed = await (await put({ ...deploy, isolation: 'runc' })).json();
  expect(deployed).toMatchObject({ isolation: 'runc' });
  expect((await gateway.postJson('/v1/functions/f/invoke', null)).status).toBe(200);
  await gateway.postJson('/v1/run', run);
  expect(jobs.map(({ isolation }) => isolation)).toEqual(['gvisor', 'runc', undefined]);
});

test("a version's wall is part of its digest, and native is the same as none", async () => {
  await join('has', ['native', 'runc', 'gvisor']);
  const digestOf = async (body: unknown) => ((await (await put(body)).json()) as { digest: string }).digest;
  const plain = await digestOf(deploy);
  expect(await digestOf({ ...deploy, isolation: 'native' })).toBe(plain);
  expect(await digestOf({ ...deploy, isolation: 'gvisor' })).not.toBe(plain);
});
