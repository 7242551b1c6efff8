import { beforeEach, describe, expect, test } from 'vitest';
import type { DeployedFunction } from '../../sdk/contract/function.ts';
import type { ImageConfig } from '../../sdk/contract/image.ts';
import type { AnnouncedImage, ImageAnnouncer } from '../../services/queue/image-catalogue.ts';
import type { InvocationJob } from '../../services/queue/job.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { announce, describedImage, nodeImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);
const files = [{ path: 'index.mjs', content: 'export const handler = (event) => event' }];
const request = { runtime: 'node', handler: 'index.handler', files };
const config: ImageConfig = { Env: ['PATH=/opt/bin', 'A=image'], User: 'app' };

let images: AnnouncedImage[];
let announcer: ImageAnnouncer;
beforeEach(async () => {
  images = [describedImage('localhost/app:1', config)];
  announcer = await announce(redis.redis, images, 'another');
  gateway.undo.push(() => announcer.leave());
});

async function deploy(name: string, body: object): Promise<DeployedFunction> {
  const response = await gateway.postJson(`/v1/functions/${name}`, body, { method: 'PUT' });
  expect(response.status, await response.clone().text()).toBeLessThan(300);
  return (await response.json()) as DeployedFunction;
}

/** The job of one invocation. */
async function invoked(name: string, query = ''): Promise<InvocationJob> {
  const jobs: InvocationJob[] = [];
  await gateway.startWorker(async (job) => {
    jobs.push(job.data);
    return finished(job, { outcome: { status: 'ok', result: 1 } });
  });
  expect((await gateway.postJson(`/v1/functions/${name}/invoke${query}`, {})).status).toBe(200);
  return jobs[0] as InvocationJob;
}

test("code without an image stands on the runtime's base image, pinned by its digest", async () => {
  const { image } = await deploy('plain', request);
  expect(image).toEqual({ reference: 'localhost/node:latest', digest: nodeImage.digest });
  expect(await invoked('plain')).toMatchObject({ image, codeLayer: expect.any(String) });
});

test('code can be put on any image, whose Env and User it gets', async () => {
  const { image, digest } = await deploy('own', { ...request, image: 'app:1', env: { B: '2' } });
  expect(image).toEqual({ reference: 'localhost/app:1', digest: images[0]?.digest });
  expect(digest).not.toBe((await deploy('plain', request)).digest);
  expect(await invoked('own')).toMatchObject({
    image,
    user: 'app',
    imageDigest: digest,
    program: { env: { PATH: '/opt/bin', A: 'image', B: '2' } },
    diff: false,
  });
});

test('a name that moves on leaves old versions where they are', async () => {
  const before = await deploy('pinned', { ...request, image: 'app:1' });
  images.push(describedImage('localhost/app:1', { Env: ['A=newer'] }));
  images.shift();
  await announcer.update();
  expect((await invoked('pinned')).image).toEqual(before.image);
  const after = await deploy('pinned', { ...request, image: 'app:1' });
  expect(after.version).toBe(2);
  expect(after.image?.digest).toBe(images[0]?.digest);
});

test('a version is deployed elsewhere from its image alone, under the same digest', async () => {
  const settings = { env: { B: '2' }, limits: { wallMs: 500 } };
  const made = await deploy('made', { ...request, ...settings, image: 'app:1' });
  const { manifestJson, configJson } = await gateway.registry.imageOf('made');
  await gateway.registry.delete('made');
  images.push({ reference: 'registry.example/made:1', digest: made.digest, manifestJson, configJson });
  await announcer.update();

  const deployed = await deploy('again', { image: `registry.example/made@${made.digest}` });
  expect(deployed).toMatchObject({
    digest: made.digest,
    runtime: 'node',
    handler: 'index.handler',
    limits: { wallMs: 500 },
    image: { digest: made.digest },
  });
  expect(deployed).not.toHaveProperty('codeLayer');
  expect(await invoked('again', '?diff=archive')).toMatchObject({
    image: deployed.image,
    imageDigest: made.digest,
    program: { handler: 'index.handler', env: { A: 'image', B: '2' } },
    user: 'app',
    limits: { wallMs: 500 },
    diff: 'archive',
  });
  expect(await gateway.registry.imageOf('again')).toMatchObject({
    digest: made.digest,
    base: deployed.image,
  });
  const pinned = await gateway.registry.pinned();
  expect([pinned.images, pinned.layers]).toEqual([new Set([made.digest]), new Set()]);
});

test('an image that is no version is refused, and the label that is missing named', async () => {
  const response = await gateway.postJson('/v1/functions/x', { image: 'app:1' }, { method: 'PUT' });
  expect([response.status, await response.json()]).toMatchObject([
    400,
    { error: { field: 'image', message: expect.stringContaining('dev.oncebox.runtime') } },
  ]);
});

test('an image that no node has is a 404, and nothing is stored', async () => {
  const response = await gateway.postJson(
    '/v1/functions/x',
    { ...request, image: 'nowhere' },
    { method: 'PUT' },
  );
  expect([response.status, await response.json()]).toMatchObject([
    404,
    { error: { code: 'image_not_found' } },
  ]);
  expect(await redis.redis.keys('oncebox:function*')).toEqual([]);
});

test('a diff that is none is refused before anything is enqueued', async () => {
  await deploy('plain', request);
  const response = await gateway.postJson('/v1/functions/plain/invoke?diff=maybe', {});
  expect([response.status, await response.json()]).toMatchObject([400, { error: { field: 'diff' } }]);
});

describe('an image whose own program is called', () => {
  const lambda: ImageConfig = {
    Env: ['LAMBDA_TASK_ROOT=/opt/task', 'A=image'],
    User: 'app',
    Entrypoint: ['/entry', '--fast'],
    Cmd: ['index.handler'],
    WorkingDir: '/opt/task',
  };
  const program = (argv: string[], env: Record<string, string>) =>
    expect.objectContaining({ kind: 'lambda', argv, env: expect.objectContaining(env), eventJson: '{}' });

  test('is executed as its configuration says, in the environment that Lambda gives', async () => {
    images.push(describedImage('localhost/lambda:1', lambda));
    await announcer.update();
    await deploy('own', { image: 'lambda:1', protocol: 'lambda', env: { B: '2' } });
    const job = await invoked('own');
    expect(job).toMatchObject({
      image: { reference: 'localhost/lambda:1' },
      user: 'app',
      workingDir: '/opt/task',
    });
    expect([job.runtime, job.codeLayer]).toEqual([undefined, undefined]);
    expect(job.program).toEqual(
      program(['/entry', '--fast', 'index.handler'], {
        A: 'image',
        B: '2',
        LAMBDA_TASK_ROOT: '/opt/task',
        _HANDLER: 'index.handler',
        AWS_LAMBDA_RUNTIME_API: '127.0.0.1:9001',
        AWS_LAMBDA_FUNCTION_NAME: 'own',
        AWS_LAMBDA_FUNCTION_VERSION: '1',
        AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/own',
      }),
    );
  });

  test('is executed otherwise where the deploy says so, and again where its version is an image', async () => {
    images.push(describedImage('localhost/lambda:1', lambda));
    await announcer.update();
    const command = { entrypoint: ['/other'], args: ['app.main'], workdir: '/srv' };
    await deploy('own', { image: 'lambda:1', protocol: 'lambda', ...command });
    const made = await gateway.registry.imageOf('own');
    images.push({ ...made, reference: 'localhost/pushed:1' });
    await announcer.update();
    expect(await deploy('again', { image: 'pushed:1' })).toMatchObject({
      protocol: 'lambda',
      digest: made.digest,
    });
    expect(await gateway.registry.resolve('own')).toMatchObject({
      argv: ['/other', 'app.main'],
      workingDir: '/srv',
    });
    const job = await invoked('again');
    expect(job.workingDir).toBe('/srv');
    expect(job.program).toEqual(program(['/other', 'app.main'], { _HANDLER: 'app.main' }));
  });

  test('is refused when it has none', async () => {
    const response = await gateway.postJson(
      '/v1/functions/own',
      { image: 'app:1', protocol: 'lambda' },
      { method: 'PUT' },
    );
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.stringContaining('neither Entrypoint nor Cmd'),
    ]);
  });
});
