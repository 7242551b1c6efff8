import {
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  DeleteFunctionCommand,
  InvokeCommand,
  LambdaClient,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';
import { zipOf } from '../support/zip.ts';

// Handlers that stream as Lambda's do, against a whole platform.
const running = usePlatform();
const FunctionName = 'streams';
let lambda: LambdaClient;

beforeEach(async () => {
  lambda = new LambdaClient({
    ...{ endpoint: running.platform.url, region: 'eu-central-1' },
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  const source = `
    export const handler = awslambda.streamifyResponse(async ({ rawPath, fails }, response) => {
      const head = { statusCode: 201, headers: { 'content-type': 'text/html' }, cookies: ['a=1', 'b=2'] };
      const out = rawPath === '/headed' ? awslambda.HttpResponseStream.from(response, head) : response;
      out.write('one ');
      console.log('written');
      if (fails) throw new RangeError('no');
      out.end('two');
    });`;
  await lambda.send(
    new CreateFunctionCommand({
      ...{ FunctionName, Role: 'arn:aws:iam::000000000000:role/any', Runtime: 'nodejs22.x' },
      ...{ Handler: 'index.handler', Timeout: 60, Code: { ZipFile: zipOf({ 'index.mjs': source }) } },
    }),
  );
});
afterEach(async () => {
  await lambda.send(new DeleteFunctionCommand({ FunctionName }));
  lambda.destroy();
});

test.each(['BUFFERED', 'RESPONSE_STREAM'] as const)(
  'a URL whose mode is %s has the status, headers and body of a handler that streams them',
  async (InvokeMode) => {
    const config = { FunctionName, AuthType: 'NONE', InvokeMode } as const;
    const { FunctionUrl } = await lambda.send(new CreateFunctionUrlConfigCommand(config));
    const headed = await fetch(`${FunctionUrl}headed`);
    expect([headed.status, headed.headers.get('content-type'), headed.headers.getSetCookie()]).toEqual([
      ...[201, 'text/html', ['a=1', 'b=2']],
    ]);
    expect(await headed.text()).toBe('one two');
    const bare = await fetch(`${FunctionUrl}bare`);
    expect([bare.status, bare.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(await bare.text()).toBe('one two');
  },
);

test('Invoke of a handler that streams has the whole, and how it failed, with the log', async () => {
  const invoke = (event: object) =>
    lambda.send(
      new InvokeCommand({ FunctionName, LogType: 'Tail', Payload: Buffer.from(JSON.stringify(event)) }),
    );
  const whole = await invoke({});
  expect(whole.Payload?.transformToString()).toBe('one two');
  expect(Buffer.from(whole.LogResult ?? '', 'base64').toString()).toContain('written\n');
  const failed = await invoke({ fails: true });
  expect(failed).toMatchObject({ FunctionError: 'Unhandled', $metadata: { attempts: 1 } });
  expect(JSON.parse(failed.Payload?.transformToString() ?? '')).toMatchObject({ errorType: 'RangeError' });
});
