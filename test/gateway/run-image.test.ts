import { expect, test } from 'vitest';
import { errorBodySchema } from '../../sdk/contract/error.ts';
import type { ImageConfig } from '../../sdk/contract/image.ts';
import type { InvocationJob } from '../../services/queue/job.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { announce, describedImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

async function withImage(config: ImageConfig) {
  const image = describedImage('localhost/app:latest', config);
  const announcer = await announce(redis.redis, [image], 'another');
  gateway.undo.push(() => announcer.leave());
  return image;
}

/** The job that a run becomes. */
async function jobOf(config: ImageConfig, request: object): Promise<InvocationJob> {
  const image = await withImage(config);
  const jobs: InvocationJob[] = [];
  await gateway.startWorker(async (job) => {
    jobs.push(job.data);
    return finished(job);
  });
  const response = await gateway.postJson('/v1/run', { image: 'app', ...request });
  expect(response.status, await response.clone().text()).toBe(200);
  const [job] = jobs as [InvocationJob];
  expect(job.image).toEqual({ reference: 'localhost/app:latest', digest: image.digest });
  return job;
}

const config = { Entrypoint: ['/entry', 'a'], Cmd: ['b', 'c'] };

test.each([
  ['Entrypoint and Cmd', config, {}, ['/entry', 'a', 'b', 'c']],
  ['args instead of Cmd', config, { args: ['x'] }, ['/entry', 'a', 'x']],
  ['no args instead of Cmd', config, { args: [] }, ['/entry', 'a']],
  ['an entrypoint, which drops Cmd', config, { entrypoint: ['/other'] }, ['/other']],
  ['both', config, { entrypoint: ['/other', 'y'], args: ['x'] }, ['/other', 'y', 'x']],
  ['args of an image without Entrypoint', { Cmd: ['sh'] }, { args: ['ls', '/'] }, ['ls', '/']],
  ['args of an image without anything', {}, { args: ['ls'] }, ['ls']],
  ['an entrypoint that is taken away', config, { entrypoint: [], args: ['ls'] }, ['ls']],
  ['null, as builders write it', { Entrypoint: null, Cmd: ['sh'] }, {}, ['sh']],
] as const)('an image runs %s', async (_, imageConfig, request, argv) => {
  const job = await jobOf(imageConfig as ImageConfig, request);
  expect(job.program).toEqual({ kind: 'command', argv, env: { PATH: path }, files: [] });
  expect(job.runtime).toBeUndefined();
});

test('with nothing to run it is refused, and told what to give', async () => {
  await withImage({ Env: ['A=b'] });
  const response = await gateway.postJson('/v1/run', { image: 'app' });
  expect(response.status).toBe(400);
  const { error } = errorBodySchema.parse(await response.json());
  expect(error).toMatchObject({ code: 'invalid_request', field: 'args' });
  expect(error.message).toContain('neither Entrypoint nor Cmd');
});

test('Env, WorkingDir and User come from the image, and the request goes before them', async () => {
  const full = {
    Cmd: ['sh'],
    Env: ['PATH=/bin', 'A=1', 'odd-name=2', 'X='],
    WorkingDir: '/srv/app',
    User: 'app',
  };
  const files = [{ path: 'in.txt', content: 'hello', encoding: 'utf8' as const }];
  expect(await jobOf(full, { env: { A: '2', B: '3' }, files })).toMatchObject({
    program: { env: { PATH: '/bin', A: '2', 'odd-name': '2', X: '', B: '3' }, files },
    user: 'app',
    workingDir: '/srv/app',
  });
});

test('workdir and user can be chosen', async () => {
  const job = await jobOf({ Cmd: ['sh'], WorkingDir: '/srv', User: 'app' }, { workdir: '/tmp', user: '7:8' });
  expect([job.user, job.workingDir]).toEqual(['7:8', '/tmp']);
});

test.each([
  [undefined, '/'],
  ['', '/'],
  ['srv', '/srv'],
  ['/a/../../b', '/b'],
])('a WorkingDir of %o is %s', async (WorkingDir, workingDir) => {
  expect((await jobOf({ Cmd: ['sh'], ...(WorkingDir !== undefined && { WorkingDir }) }, {})).workingDir).toBe(
    workingDir,
  );
});

test("code with an image runs in that image's interpreter, with its Env and as its User", async () => {
  const job = await jobOf(
    { Env: ['A=1'], User: 'app' },
    { runtime: 'node', code: '1', args: ['x'], diff: 'archive' },
  );
  expect(job).toMatchObject({
    runtime: 'node',
    user: 'app',
    diff: 'archive',
    program: { kind: 'snippet', entry: 'index.js', args: ['x'], env: { A: '1' } },
  });
  expect(job.workingDir).toBeUndefined();
});

test('the record of a waiting run names the image as it was resolved', async () => {
  const { digest } = await withImage({ Cmd: ['sh'] });
  const response = await gateway.postJson(
    '/v1/run',
    { image: 'app' },
    { headers: { prefer: 'respond-async' } },
  );
  expect(response.status).toBe(202);
  expect(await response.json()).toMatchObject({ image: { reference: 'localhost/app:latest', digest } });
});

test('an image that no node has is a 404, and nothing is enqueued', async () => {
  const response = await gateway.postJson('/v1/run', { image: 'nowhere', runtime: 'node', code: '' });
  expect([response.status, await response.json()]).toMatchObject([
    404,
    { error: { code: 'image_not_found', field: 'image', message: expect.stringContaining('"nowhere"') } },
  ]);
  expect(await redis.redis.keys('oncebox:invocations:inv_*')).toEqual([]);
});

test('without any node it is a 503', async () => {
  await gateway.announcer.leave();
  const response = await gateway.postJson('/v1/run', { image: 'node', runtime: 'node', code: '' });
  expect([response.status, await response.json()]).toMatchObject([503, { error: { code: 'unavailable' } }]);
});
