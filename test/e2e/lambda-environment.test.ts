import { CreateFunctionUrlConfigCommand, InvokeCommand } from '@aws-sdk/client-lambda';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { useLambda } from '../support/lambda-sdk.ts';
import { usePlatform } from '../support/use-platform.ts';

// What functions see that an unmodified client of AWS has made.
const running = usePlatform();
const patience = { timeout: 60_000, interval: 50 };
const lambda = useLambda(running);
const { create } = lambda;

async function call(FunctionName: string, payload: unknown = null, Qualifier?: string) {
  const reply = await lambda.client.send(
    new InvokeCommand({ FunctionName, Qualifier, LogType: 'Tail', Payload: JSON.stringify(payload) }),
  );
  const log = Buffer.from(reply.LogResult ?? '', 'base64').toString();
  const { init } = await running.client.invocation(reply.$metadata.requestId ?? '');
  const { ExecutedVersion: executed } = reply;
  return { value: JSON.parse(reply.Payload?.transformToString() ?? ''), executed, log, init };
}

// Half a second of initialisation pays for a zygote.
const sources = {
  node: {
    options: { Runtime: 'nodejs22.x', Handler: 'index.handler' },
    files: {
      'index.mjs': `
        import { readFileSync } from 'node:fs';
        for (const end = performance.now() + 500; performance.now() < end; );
        const look = () => ({ env: { ...process.env }, cwd: process.cwd(), file: readFileSync('data.txt', 'utf8') });
        const atInit = look();
        export const handler = (_, context) => ({
          atInit, atCall: look(), version: context.functionVersion, stream: context.logStreamName });`,
      'data.txt': 'beside it',
    },
  },
  python: {
    options: { Runtime: 'python3.12', Handler: 'src.app.handler' },
    files: {
      'src/app.py': `
import os, time
end = time.monotonic() + 0.5
while time.monotonic() < end: pass
def look():
    return {"env": dict(os.environ), "cwd": os.getcwd(), "file": open("data.txt").read()}
at_init = look()
def handler(event, context):
    return {"atInit": at_init, "atCall": look(), "version": context.function_version, "stream": context.log_stream_name}
`,
      'data.txt': 'beside it',
    },
  },
};

describe.each(['node', 'python'] as const)("a %s function from an archive, made by Lambda's API", (name) => {
  const { files, options } = sources[name];
  const ofVersion = {
    ...{ AWS_LAMBDA_FUNCTION_NAME: name, AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '192', OWN: 'mine' },
    ...{ AWS_EXECUTION_ENV: `AWS_Lambda_${options.Runtime}`, _HANDLER: options.Handler, TZ: ':UTC' },
    ...{ LAMBDA_TASK_ROOT: '/function', AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand' },
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
  };
  const place = { cwd: '/function', file: 'beside it' };

  beforeAll(() =>
    create(name, files, {
      ...options,
      ...{ Publish: true, MemorySize: 192, Environment: { Variables: { OWN: 'mine' } } },
    }),
  );

  test('finds its environment and its files, in initialisation too, wherever that runs', async () => {
    const expected = {
      atInit: {
        ...place,
        env: { ...ofVersion, AWS_LAMBDA_FUNCTION_VERSION: '1', AWS_REGION: 'us-east-1' },
      },
      atCall: {
        ...place,
        env: {
          ...ofVersion,
          ...{ AWS_LAMBDA_FUNCTION_VERSION: '$LATEST', AWS_REGION: 'eu-central-1' },
          AWS_DEFAULT_REGION: 'eu-central-1',
        },
      },
    };
    const alone = await call(name);
    expect(alone.init?.shared).toBe(false);
    expect(alone.value).toMatchObject(expected);
    expect(alone.value.atCall.env.AWS_LAMBDA_LOG_STREAM_NAME).toBe(alone.value.stream);
    await vi.waitFor(async () => {
      const { init, value } = await call(name);
      expect(value).toMatchObject(expected);
      expect(value.atCall.env.AWS_LAMBDA_LOG_STREAM_NAME).toBe(value.stream);
      expect(init?.shared).toBe(true);
    }, patience);
  });

  test('is told its version as its caller is', async () => {
    for (const [qualifier, version] of [
      [undefined, '$LATEST'],
      ['$LATEST', '$LATEST'],
      ['1', '1'],
    ] as const) {
      const { value, executed, log } = await call(name, null, qualifier);
      expect(executed).toBe(version);
      expect(value.version).toBe(version);
      expect(value.atCall.env.AWS_LAMBDA_FUNCTION_VERSION).toBe(version);
      expect(value.stream).toContain(`/[${version}]`);
      expect(log).toContain(`Version: ${version}\n`);
    }
    const made = await lambda.client.send(
      new CreateFunctionUrlConfigCommand({ FunctionName: name, AuthType: 'NONE' }),
    );
    expect(await (await fetch(made.FunctionUrl ?? '')).json()).toMatchObject({ version: '$LATEST' });
  });

  test('is called once for one idempotency key, though each call has an environment of its own', async () => {
    const options = { idempotencyKey: `once-${name}` };
    const [first, second] = [
      await running.client.invokeAsync(name, 1, options),
      await running.client.invokeAsync(name, 1, options),
    ];
    expect(second.id).toBe(first.id);
  });

  test('of another API has none of that', async () => {
    const [[path, content] = ['', '']] = Object.entries(files);
    await running.client.deploy(`own-${name}`, {
      ...{ runtime: name, handler: options.Handler.replace('src.', 'src/') },
      files: [
        { path, content: content.replaceAll('data.txt', '/function/data.txt') },
        { path: 'data.txt', content: 'beside it' },
      ],
    });
    const { result } = await running.client.invoke(`own-${name}`);
    expect(result).toMatchObject({ atInit: { cwd: '/work' }, atCall: { cwd: '/work' }, version: '1' });
    expect(JSON.stringify(result)).not.toMatch(/AWS_|LAMBDA_/);
  });
});

test('what is kept warm has initialised in the environment that its calls have', async () => {
  const content = `const size = process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
    export const handler = () => [size, process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE];`;
  const options = { Runtime: 'nodejs22.x', Handler: 'index.handler', MemorySize: 256 };
  await create('kept', { 'index.mjs': content }, options);
  const settings = await fetch(`${running.platform.url}/v1/functions/kept/settings`, {
    ...{ method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"keepWarm":1}' },
  });
  expect(settings.status).toBe(200);
  await vi.waitFor(async () => {
    const { value, init } = await call('kept');
    expect(value).toEqual(['256', '256']);
    // So quick an initialisation has no zygote for another reason.
    expect(init?.shared).toBe(true);
  }, patience);
});

test('what is written to /tmp counts as memory: a call has room for its files and its program together', async () => {
  const files = {
    'app.py': `
def handler(event, context):
    with open("/tmp/file", "wb") as file:
        for _ in range(event): file.write(bytes(1024 * 1024))
    return event
`,
  };
  await create('writes', files, { Runtime: 'python3.12', Handler: 'app.handler' });
  expect((await call('writes', 40)).value).toBe(40);
  expect((await call('writes', 400)).value).toMatchObject({ errorType: 'Runtime.OutOfMemory' });
});
