import { expect, test, vi } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { keepDeadLetter } from '../../services/queue/dead-letters.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { type InvocationJob, invocationJobSchema, queueKey } from '../../services/queue/job.ts';
import { joinNodeDirectory } from '../../services/queue/node-directory.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { parseMetrics, total } from '../support/prometheus.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);
const MiB = 1024 * 1024;
const asynchronous = { headers: { prefer: 'respond-async' } };

async function deploy(name: string, code = 'exports.handler = () => 1;', settings = {}) {
  const response = await gateway.app.request(`/v1/functions/${name}`, {
    method: 'PUT',
    body: JSON.stringify({
      runtime: 'node',
      handler: 'index.handler',
      files: [{ path: 'index.js', content: code }],
      ...settings,
    }),
    headers: { 'content-type': 'application/json' },
  });
  expect(response.status).toBe(201);
}

let deaths = 0;
/** An invocation of the function as a worker leaves it that gives it up, later than all before it. */
async function die(reference: string, headers = {}, path = `/v1/functions/${reference}/invoke`) {
  const response = await gateway.postJson(
    path,
    { n: 7 },
    { headers: { ...asynchronous.headers, ...headers } },
  );
  const invocation = (await response.json()) as Invocation;
  const data = await redis.redis.hget(queueKey(invocation.id), 'data');
  const job = invocationJobSchema.parse(JSON.parse(data ?? ''));
  await gateway.queue.cancel(invocation.id);
  const outcome = { status: 'exited' as const, exitCode: 1 };
  const diedAtMs = Date.now() + deaths++;
  const letter = { job, invocation: { ...invocation, outcome }, diedAtMs, attempts: 1 };
  await keepDeadLetter(redis.redis, letter, { kept: 10, keptMs: 60_000 });
  return invocation.id;
}
const letters = async (query = '') =>
  (await (await gateway.app.request(`/v1/dead-letters${query}`)).json()) as {
    deadLetters: { id: string }[];
  };
/** What waits for a worker once the dead letter is run again. */
async function redriven(id: string): Promise<InvocationJob> {
  const response = await redrive(id);
  expect(response.status).toBe(202);
  const { id: again } = (await response.json()) as Invocation;
  const data = (await redis.redis.hget(queueKey(again), 'data')) ?? '';
  const job = invocationJobSchema.parse(JSON.parse(data));
  expect(job.requestId).toBe(response.headers.get('oncebox-request-id'));
  return job;
}
const redrive = (id: string) => gateway.app.request(`/v1/dead-letters/${id}/redrive`, { method: 'POST' });

test('dead letters are listed newest first, and by function', async () => {
  await deploy('f');
  await deploy('g');
  const ids = [await die('f'), await die('g'), await die('f')];
  expect((await letters()).deadLetters.map(({ id }) => id)).toEqual(ids.toReversed());
  expect((await letters('?function=g')).deadLetters.map(({ id }) => id)).toEqual([ids[1]]);
  expect((await letters('?limit=1')).deadLetters).toHaveLength(1);
  const one = await (await gateway.app.request(`/v1/dead-letters/${ids[0]}`)).json();
  expect(one).toMatchObject({ id: ids[0], function: 'f', attempts: 1, invocation: { priority: 'normal' } });
});

test('how many there are is a figure', async () => {
  const figure = async () =>
    total(await parseMetrics(await (await gateway.app.request('/metrics')).text()), 'oncebox_dead_letters');
  expect(await figure()).toBe(0);
  await deploy('f');
  const [id = ''] = [await die('f'), await die('f')];
  expect(await figure()).toBe(2);
  await gateway.app.request(`/v1/dead-letters/${id}`, { method: 'DELETE' });
  expect(await figure()).toBe(1);
});

test('a dead letter is run again once, however often that is asked for, by the version of now', async () => {
  await deploy('f');
  const id = await die('f');
  await deploy('f', 'exports.handler = () => "mended";');
  const responses = await Promise.all([redrive(id), redrive(id), redrive(id)]);
  responses.push(await redrive(id));
  expect(responses.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
  const records = (await Promise.all(responses.map((response) => response.json()))) as Invocation[];
  expect(new Set(records.map((record) => record.id)).size).toBe(1);
  expect(await gateway.queue.waiting()).toBe(1);
  expect((await letters()).deadLetters).toEqual([]);
  let event = '';
  await gateway.startWorker(async (job) => {
    event = job.data.program.kind === 'handler' ? job.data.program.eventJson : '';
    return finished(job);
  });
  const again = records[0]?.id ?? '';
  expect(again).not.toBe(id);
  await expect.poll(() => gateway.queue.get(again)).toMatchObject({ status: 'done', redriveOf: id });
  expect(JSON.parse(event)).toEqual({ n: 7 });
  expect((await gateway.queue.get(again))?.function?.version).toBe(2);
});

test('who finds a dead letter gone because another has just run it again is told of that', async () => {
  await deploy('f');
  const id = await die('f');
  const { deadLetters } = gateway.queue;
  const read = deadLetters.get;
  let first: Response | undefined;
  vi.spyOn(deadLetters, 'get').mockImplementationOnce(async (tenant, letter) => {
    first = await redrive(id);
    return read(tenant, letter);
  });
  const second = await redrive(id);
  expect([first?.status, second.status]).toEqual([202, 202]);
  expect(await second.json()).toMatchObject({ id: first?.headers.get('oncebox-invocation-id') });
});

test('who was to be called back of what died is called back of what runs in its place', async () => {
  await deploy('f');
  const url = 'https://example.com/end';
  const id = await die('f', { 'oncebox-callback': url });
  const { id: again } = (await (await redrive(id)).json()) as Invocation;
  expect(await gateway.callbacks.state(again)).toMatchObject({ url, status: 'pending', attempts: 0 });
});

test('a dead letter that is deleted is gone', async () => {
  await deploy('f');
  const id = await die('f');
  const remove = () => gateway.app.request(`/v1/dead-letters/${id}`, { method: 'DELETE' });
  expect((await remove()).status).toBe(204);
  const again = await remove();
  expect(again.status).toBe(404);
  expect(await again.json()).toMatchObject({ error: { code: 'dead_letter_not_found' } });
  expect((await redrive(id)).status).toBe(404);
  expect((await gateway.app.request('/v1/dead-letters/..%2f')).status).toBe(404);
});

test("a tenant's many dead letters push out its own, and not another's", async () => {
  await deploy('f');
  const mine = await die('f');
  const letter = await gateway.queue.deadLetters.get('default', mine);
  if (!letter) throw new Error('no dead letter');
  const kept: string[] = [];
  for (let count = 0; count < 20; count++) {
    const id = newInvocationId();
    kept.push(id);
    const job = { ...letter.job, tenant: 'noisy' };
    const theirs = { ...letter, job, invocation: { ...letter.invocation, id }, diedAtMs: Date.now() + count };
    await keepDeadLetter(redis.redis, theirs, { kept: 10, keptMs: 60_000 });
  }
  expect((await letters()).deadLetters.map(({ id }) => id)).toEqual([mine]);
  const noisy = await gateway.queue.deadLetters.list('noisy', { limit: 100 });
  expect(noisy.map(({ id }) => id)).toEqual(kept.slice(-9).toReversed());
});

test('a dead letter is run again with the secrets of the version of now', async () => {
  await deploy('f');
  const id = await die('f');
  const stored = JSON.parse((await redis.redis.get(`oncebox:dead:${id}`)) ?? '');
  stored.job.secrets = ['OF_THEN'];
  await redis.redis.set(`oncebox:dead:${id}`, JSON.stringify(stored));
  expect((await redrive(id)).status).toBe(202);
  let secrets: string[] | undefined = ['unread'];
  await gateway.startWorker(async (job) => {
    secrets = job.data.secrets;
    return finished(job);
  });
  await expect.poll(() => secrets).toBeUndefined();
});

test('what died of too little memory or time is run again with what a deploy has given the function since', async () => {
  await deploy('f', undefined, { limits: { memoryBytes: 64 * MiB, wallMs: 1_000 } });
  const id = await die('f', { 'oncebox-priority': 'high' });
  await deploy('f', undefined, { limits: { memoryBytes: 256 * MiB, wallMs: 90_000 } });
  const before = Date.now();
  const { limits, program, priority } = await redriven(id);
  expect(limits).toMatchObject({ memoryBytes: 256 * MiB, wallMs: 90_000 });
  const { memoryBytes, deadlineMs } = 'context' in program ? program.context : {};
  expect(memoryBytes).toBe(256 * MiB);
  expect(deadlineMs).toBeGreaterThanOrEqual(before + 90_000);
  expect(priority).toBe('high');
});

test('what was called by an alias or a version is run again by that, and not by the newest deploy', async () => {
  await deploy('f');
  const alias = (version: number) =>
    gateway.postJson('/v1/functions/f/aliases/prod', { version }, { method: 'PUT' });
  await alias(1);
  const [byAlias, byVersion] = [await die('f:prod'), await die('f:1')];
  for (const code of ['2', '3']) await deploy('f', `exports.handler = () => ${code};`);
  await alias(2);
  for (const [id, reference, version] of [
    [byAlias, 'f:prod', 2],
    [byVersion, 'f:1', 1],
  ] as const)
    expect(await redriven(id)).toMatchObject({ reference, function: { name: 'f', version } });
  const orphan = await die('f:prod');
  await gateway.app.request('/v1/functions/f/aliases/prod', { method: 'DELETE' });
  const refused = await redrive(orphan);
  expect([refused.status, await refused.json()]).toMatchObject([404, { error: { code: 'alias_not_found' } }]);
  expect((await letters()).deadLetters.map((letter) => letter.id)).toEqual([orphan]);
});

test('what died of an HTTP request is run again as one', async () => {
  await deploy('f');
  const { program } = await redriven(await die('f', {}, '/fn/f/where'));
  expect(program).toMatchObject({ kind: 'handler', http: true });
});

test('a wall that a node lacks by now is refused, and the dead letter stays', async () => {
  await deploy('f');
  const id = await die('f');
  await deploy('f', undefined, { isolation: 'gvisor' });
  const subscriber = redis.connect();
  const { leave } = await joinNodeDirectory({
    redis: redis.redis,
    subscriber,
    node: {
      node: 'lacks',
      pid: 1,
      concurrency: 4,
      startedAt: new Date(0).toISOString(),
      isolations: ['native'],
    },
    identity: 'lacks',
    listSandboxes: () => [],
    onError: (error) => {
      throw error;
    },
  });
  gateway.undo.push(() => leave());
  const refused = await redrive(id);
  expect([refused.status, await refused.json()]).toMatchObject([400, { error: { code: 'unsupported' } }]);
  expect((await letters()).deadLetters.map((letter) => letter.id)).toEqual([id]);
});

test('invocations are listed newest first, without output, by function and by status', async () => {
  await deploy('f');
  const call = async (path: string, body: unknown) => {
    const { id } = (await (await gateway.postJson(path, body, asynchronous)).json()) as Invocation;
    // Those of one millisecond have no order.
    for (const at = Date.now(); Date.now() === at; ) await new Promise(setImmediate);
    return id;
  };
  const first = await call('/v1/functions/f/invoke', {});
  const second = await call('/v1/run', { runtime: 'node', code: '' });
  await gateway.app.request(`/v1/invocations/${second}`, { method: 'DELETE' });
  const third = await call('/v1/run', { runtime: 'node', code: '' });
  const list = async (query: string) =>
    ((await (await gateway.app.request(`/v1/invocations${query}`)).json()) as { invocations: Invocation[] })
      .invocations;
  expect((await list('')).map(({ id }) => id)).toEqual([third, second, first]);
  expect((await list('?status=queued')).map(({ id }) => id)).toEqual([third, first]);
  expect(await list('?function=f')).toMatchObject([{ id: first, function: { name: 'f', version: 1 } }]);
  expect(await list('?limit=1')).toHaveLength(1);
  await gateway.startWorker(async (job) => finished(job, { stdout: 'much' }));
  await expect.poll(() => list('?status=done')).toHaveLength(3);
  for (const one of await list('')) expect(one).not.toHaveProperty('stdout');
  expect((await gateway.app.request('/v1/invocations?limit=0')).status).toBe(400);
});

test("settings are the function's, and go with it", async () => {
  const put = (body: unknown) =>
    gateway.app.request('/v1/functions/f/settings', {
      method: 'PUT',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
  expect((await put({})).status).toBe(404);
  await deploy('f');
  const get = async () => (await gateway.app.request('/v1/functions/f/settings')).json();
  expect(await get()).toEqual({});
  expect((await put({ retry: { attempts: 2, on: ['timeout'] } })).status).toBe(200);
  expect(await get()).toEqual({
    retry: { attempts: 2, on: ['timeout'], backoffMs: 1000, backoffMaxMs: 60_000 },
  });
  for (const wrong of [{ retry: { attempts: 11, on: ['lost'] } }, { concurrency: -1 }, { other: 1 }])
    expect((await put(wrong)).status).toBe(400);
  await gateway.app.request('/v1/functions/f', { method: 'DELETE' });
  await deploy('f');
  expect(await get()).toEqual({});
});
