import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { create } from 'tar';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { useCli } from '../cli/use-cli.ts';
import { nodeClient, pythonClient } from '../support/lambda-clients.ts';
import { ownStoreConfig } from '../support/platform.ts';

const ofImage = {
  image: 'lambda-node:1',
  protocol: 'lambda' as const,
  entrypoint: ['node', '/var/task/client/index.mjs'],
};

/** Patience with interpreters that start cold. */
const wallMs = 60_000;
let config: Config;
let platform: Platform;
let client: Client;
const cli = useCli(() => platform.url);

beforeAll(async () => {
  config = await ownStoreConfig();
  [platform] = await Promise.all([
    startPlatform(config, { log: { step() {}, event() {}, line() {} } }),
    nodeClient(),
    pythonClient(),
  ]);
  client = createClient(platform.url);
  const clients = { node: await nodeClient(), python: await pythonClient() };
  await build('lambda-node:1', ['FROM localhost/node:latest', 'COPY --chown=0:0 . /var/task'], clients.node);
  await build(
    'lambda-python:1',
    [
      'FROM localhost/python:latest',
      'COPY --chown=0:0 . /var/task',
      'ENV PYTHONPATH=/var/task/client',
      'WORKDIR /var/task',
      'ENTRYPOINT ["python3", "-m", "awslambdaric"]',
      'CMD ["app.handler"]',
    ],
    clients.python,
  );
  const handlers = ['describe', 'bare', 'fails', 'streams', 'crashes', 'never', 'hoards', 'missing'];
  for (const name of handlers)
    await client.deploy(name, {
      ...ofImage,
      args: [`index.${name}`],
      env: { GREETING: 'hello' },
      limits: { wallMs },
    });
  await client.deploy('python', { image: 'lambda-python:1', protocol: 'lambda', limits: { wallMs } });
}, 600_000);
afterAll(async () => {
  await platform?.close();
  if (config) await rm(config.ONCEBOX_DATA_DIR, { recursive: true, force: true });
});

async function build(reference: string, lines: string[], lambdaClient: string): Promise<void> {
  const context = await mkdtemp(join(tmpdir(), 'oncebox-lambda-'));
  try {
    await cp(join(import.meta.dirname, 'runtime-api'), context, { recursive: true });
    await cp(lambdaClient, join(context, 'client'), { recursive: true });
    await writeFile(join(context, 'Dockerfile'), lines.join('\n'));
    await client.buildImage(Readable.from(create({ cwd: context, gzip: true }, ['.'])), { reference });
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

/** The record of a call that waits for its end. */
async function called(name: string, event: unknown = {}) {
  const { id } = await client.invokeAsync(name, event);
  return client.wait(id);
}
const outcomeOf = async (name: string, event?: unknown): Promise<Outcome | undefined> =>
  (await called(name, event)).outcome;

describe('a handler behind the npm package aws-lambda-ric', () => {
  test('gets the event and the context, and its value is the result', async () => {
    const { outcome, id } = await called('describe', { a: ['é', 1] });
    expect(outcome).toEqual({
      status: 'ok',
      result: {
        event: { a: ['é', 1] },
        requestId: id,
        functionName: 'describe',
        functionVersion: '1',
        arn: 'arn:aws:lambda:us-east-1:000000000000:function:describe:1',
        memory: expect.stringMatching(/^\d+$/),
        remainingMs: expect.any(Number),
        taskRoot: '/var/task',
        region: 'us-east-1',
        greeting: 'hello',
      },
    });
    const { remainingMs } = (outcome as { result: { remainingMs: number } }).result;
    expect(remainingMs).toBeGreaterThan(0);
    expect(remainingMs).toBeLessThanOrEqual(wallMs);
  });

  test('that throws is a function error with its own name and stack', async () => {
    expect(await outcomeOf('fails')).toEqual({
      status: 'function_error',
      name: 'Unwell',
      message: 'not today',
      stack: expect.stringContaining('at '),
    });
  });

  test('that is not there is an error of its initialisation', async () => {
    expect(await outcomeOf('missing')).toMatchObject({
      status: 'function_error',
      name: expect.stringContaining('HandlerNotFound'),
    });
  });

  test('streams its response', async () => {
    const pieces = ['one ', 'two ', 'drei ü'];
    const { outcome, streamedBytes } = await called('streams', { pieces });
    expect({ outcome, streamedBytes }).toEqual({
      outcome: { status: 'ok', result: null },
      streamedBytes: Buffer.byteLength(pieces.join('')),
    });
  });

  test('that ends its process is told by how', async () => {
    expect(await outcomeOf('crashes', { code: 3 })).toEqual({ status: 'exited', exitCode: 3 });
    expect(await outcomeOf('crashes', { signal: 'SIGSEGV' })).toEqual({
      status: 'signaled',
      signal: 'SIGSEGV',
    });
    expect(await outcomeOf('crashes', { code: 0 })).toMatchObject({
      status: 'function_error',
      name: 'NoResult',
    });
  });

  test('is held to its time and memory', async () => {
    await client.deploy('never', { ...ofImage, args: ['index.never'], limits: { wallMs: 1500 } });
    expect(await outcomeOf('never')).toMatchObject({ status: 'timeout', limit: 'wall', ms: 1500 });
    expect(await outcomeOf('hoards')).toMatchObject({ status: 'oom_killed' });
  });
});

test('a handler behind the package awslambdaric of PyPI gets event and context, and fails as it does', async () => {
  const { outcome, id } = await called('python', { a: 1 });
  const arn = 'arn:aws:lambda:us-east-1:000000000000:function:python:1';
  expect(outcome).toEqual({ status: 'ok', result: { event: { a: 1 }, id, arn } });
  expect(await outcomeOf('python', { fail: true })).toMatchObject({
    status: 'function_error',
    name: 'ValueError',
    message: 'not today',
    stack: expect.stringContaining('app.py'),
  });
});

test('the command line deploys an image that was built for Lambda', async () => {
  const image = ['--image', 'lambda-python:1', '--protocol', 'lambda'];
  const deployed = await cli(['deploy', ...image, '--handler', 'app.handler', '--limit', `wallMs=${wallMs}`]);
  expect(deployed).toMatchObject({ code: 0, stderr: '' });
  expect(deployed.stdout).toMatch(/^lambda-python, version 1: .*lambda-python:1\nsha256:/);
  const { stdout } = await cli(['invoke', 'lambda-python', '--data', '{"a":2}']);
  expect(JSON.parse(stdout)).toMatchObject({ event: { a: 2 } });
  expect(await cli(['deploy', ...image, '.'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('leave out "."'),
  });
});

describe('the Runtime API', () => {
  const raw = async (program: string) => {
    const entrypoint = ['node', '/var/task/raw.mjs', program];
    await client.deploy('raw', {
      image: 'lambda-node:1',
      protocol: 'lambda',
      entrypoint,
      args: [],
      limits: { wallMs },
    });
    return called('raw', { n: 1 });
  };

  test('refuses what is out of place, and goes on', async () => {
    expect((await raw('refusals')).outcome).toEqual({
      status: 'ok',
      result: {
        event: { n: 1 },
        refused: {
          early: [403, 'InvalidStateTransition'],
          wrongId: [400, 'InvalidRequestID'],
          twice: [403, 'InvalidStateTransition'],
          initError: [403, 'InvalidStateTransition'],
          unknown: [404, 'NotFound'],
          method: [405, 'MethodNotAllowed'],
          garbage: [400],
          pipelined: [404, 404],
          largeHead: [400],
          expects: [100, 404],
        },
      },
    });
  });

  test('takes a response of six mebibytes, and no more', async () => {
    const { outcome } = await raw('largest');
    expect(outcome?.status).toBe('ok');
    expect((outcome as { result: string }).result.length).toBe(6 * 1024 * 1024 - 2048);
    expect((await raw('tooLarge')).outcome).toMatchObject({
      status: 'function_error',
      name: 'Function.ResponseSizeTooLarge',
    });
  });

  test('hands on a response that is no JSON as a string', async () => {
    expect((await raw('text')).outcome).toEqual({ status: 'ok', result: 'no JSON,\nbut two lines' });
  });

  test('takes an error behind a part of a stream', async () => {
    expect(await raw('errorInStream')).toMatchObject({
      outcome: { status: 'function_error', name: 'Torn', message: 'half way' },
      streamedBytes: 4,
    });
  });

  test('outlives more connections than it serves at once', async () => {
    expect((await raw('manyConnections')).outcome).toEqual({ status: 'ok', result: 'still here' });
  });

  test('is served by a process that its program cannot look into', async () => {
    expect((await raw('memory')).outcome).toEqual({ status: 'ok', result: ['EACCES', 'EACCES', true] });
  });
});

test('a version of an image has no code beside it, and what goes with code is refused', async () => {
  const { digest, protocol, runtime, codeLayer } = await client.deploy('bare-again', {
    ...{ image: 'lambda-python:1', protocol: 'lambda', limits: { wallMs } },
  });
  expect({ protocol, runtime, codeLayer }).toEqual({
    protocol: 'lambda',
    runtime: undefined,
    codeLayer: undefined,
  });
  expect((await client.getFunction('python')).versions.map((version) => version.digest)).toEqual([digest]);
  for (const wrong of [{ handler: 'index.handler' }, { isolation: 'gvisor' as const }])
    await expect(
      client.deploy('wrong', { image: 'lambda-node:1', protocol: 'lambda', ...wrong }),
    ).rejects.toMatchObject({ code: 'invalid_request' });
  expect((await fetch(`${platform.url}/fn/python`)).status).toBe(400);
});
