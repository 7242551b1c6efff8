import {
  CreateFunctionUrlConfigCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
} from '@aws-sdk/client-lambda';
import { expect, test } from 'vitest';
import { useLambda } from '../support/lambda-sdk.ts';
import { usePlatform } from '../support/use-platform.ts';

// What a call is answered with, as an unmodified client of AWS has it.
const running = usePlatform();
const lambda = useLambda(running);
const { create } = lambda;

async function textOf(FunctionName: string, Payload: string): Promise<string> {
  const reply = await lambda.client.send(new InvokeCommand({ FunctionName, Payload }));
  return reply.Payload?.transformToString() ?? '';
}

const call = async (FunctionName: string, payload: unknown = null) =>
  JSON.parse(await textOf(FunctionName, JSON.stringify(payload)));

const failures = {
  node: {
    options: { Runtime: 'nodejs22.x', Handler: 'index.handler' },
    files: {
      'index.mjs': `export const handler = (event) =>
          event === 'large' ? 'x'.repeat(6 * 1024 * 1024) : process.exit(0);`,
    },
  },
  python: {
    options: { Runtime: 'python3.12', Handler: 'app.handler' },
    files: {
      'app.py': `import os
def handler(event, context):
    return "x" * (6 * 1024 * 1024) if event == "large" else os._exit(0)
`,
    },
  },
};

test.each(['node', 'python'] as const)(
  'what a %s function does wrong has the name that Lambda has for it',
  async (name) => {
    const { files, options } = failures[name];
    await create(`fails-${name}`, files, { ...options, MemorySize: 256 });
    expect(await call(`fails-${name}`, 'large')).toMatchObject({
      ...{
        errorType: 'Function.ResponseSizeTooLarge',
        errorMessage: expect.stringContaining('the most is 6291456'),
      },
    });
    expect(await call(`fails-${name}`)).toEqual({
      errorType: 'Runtime.ExitError',
      errorMessage: expect.stringMatching(
        /^RequestId: \S+ Error: Runtime exited without providing a reason$/,
      ),
    });
  },
);

test("of an image python's frames are a stack trace, and an error without one has none", async () => {
  const program = `
      const base = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
      const next = await fetch(base + 'next');
      const id = next.headers.get('lambda-runtime-aws-request-id');
      const error = await next.json();
      if (error === null) process.exit(0);
      await fetch(base + id + '/error', { method: 'POST', body: JSON.stringify(error) });`;
  await create(
    'fails-image',
    {},
    {
      ...{ PackageType: 'Image', Code: { ImageUri: 'localhost/node:latest' }, MemorySize: 256 },
      ImageConfig: { EntryPoint: ['node', '--input-type=module', '-e', program] },
    },
  );
  // As the package awslambdaric says it.
  const frame = (line: number) =>
    `  File "/var/task/app.py", line ${line}, in handler\n    raise ValueError("no")\n`;
  const raised = { errorType: 'ValueError', errorMessage: 'no', stackTrace: [frame(6), frame(2)] };
  expect(await call('fails-image', { ...raised, requestId: '' })).toEqual(raised);
  const bare = { errorType: 'Own', errorMessage: 'no' };
  expect(await call('fails-image', { ...bare, stackTrace: [] })).toEqual(bare);
  expect(await call('fails-image')).toMatchObject({ errorType: 'Runtime.ExitError' });
});

test('integers of any length come back as the handler gave them', async () => {
  const python = 'def handler(event, context):\n    return event\n';
  await create('echoes', { 'app.py': python }, { Runtime: 'python3.12', Handler: 'app.handler' });
  const program = `
    const base = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
    const next = await fetch(base + 'next');
    const path = base + next.headers.get('lambda-runtime-aws-request-id') + '/response';
    await fetch(path, { method: 'POST', body: await next.text() });`;
  const image = {
    ...{ PackageType: 'Image', Code: { ImageUri: 'localhost/node:latest' }, MemorySize: 256 },
    ImageConfig: { EntryPoint: ['node', '--input-type=module', '-e', program] },
  };
  await create('echoes-image', {}, image);
  const event = '{"id": 12345678901234567890, "ids": [-9007199254740993]}';
  for (const FunctionName of ['echoes', 'echoes-image']) {
    expect(await textOf(FunctionName, event), FunctionName).toBe(event);
    const reply = await lambda.client.send(
      new InvokeWithResponseStreamCommand({ FunctionName, Payload: event }),
    );
    const chunks: Uint8Array[] = [];
    for await (const { PayloadChunk } of reply.EventStream ?? [])
      if (PayloadChunk?.Payload) chunks.push(PayloadChunk.Payload);
    expect(Buffer.concat(chunks).toString(), FunctionName).toBe(event);
    const own = await fetch(`${running.platform.url}/v1/functions/${FunctionName}/invoke`, {
      ...{ method: 'POST', body: event, headers: { 'content-type': 'application/json' } },
    });
    expect(await own.text(), FunctionName).toBe(event);
  }
  const source = 'def handler(event, context):\n    return {"id": 12345678901234567890}\n';
  await create('site', { 'app.py': source }, { Runtime: 'python3.12', Handler: 'app.handler' });
  const url = new CreateFunctionUrlConfigCommand({ FunctionName: 'site', AuthType: 'NONE' });
  const { FunctionUrl = '' } = await lambda.client.send(url);
  expect(await (await fetch(FunctionUrl)).text()).toBe('{"id": 12345678901234567890}');
});
