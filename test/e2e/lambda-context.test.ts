import { beforeAll, describe, expect, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();

const code = `
import { setTimeout as delay } from 'node:timers/promises';
export const describe = async (event, context) => {
  const { awsRequestId, invocationId, functionName, functionVersion, invokedFunctionArn, memoryLimitInMB, ...rest } = context;
  const { logGroupName, logStreamName, callbackWaitsForEmptyEventLoop } = rest;
  const first = context.getRemainingTimeInMillis();
  await delay(20);
  return {
    same: awsRequestId === invocationId, functionName, functionVersion, invokedFunctionArn, memoryLimitInMB,
    logGroupName, logStreamName, callbackWaitsForEmptyEventLoop,
    falls: first > 0 && context.getRemainingTimeInMillis() < first,
  };
};
export function callsBack(event, context, callback) {
  context.callbackWaitsForEmptyEventLoop = event.waits;
  // Without waiting it never comes to that.
  setTimeout(() => console.log('all done'), event.waits ? 200 : 600_000);
  setTimeout(() => (event.fails ? callback(new RangeError('no')) : callback(null, { called: 'back' })), 1);
}
export function neverCallsBack(event, context, callback) {}
export function succeeds(event, context) { context.succeed({ by: 'succeed' }); }
export function fails(event, context) { context.fail(new TypeError('by fail')); }
export const streams = awslambda.streamifyResponse(async (event, response) => {
  if (event.fails) throw new RangeError('no stream');
  const headers = { 'content-type': 'text/plain', 'x-mark': 'yes' };
  const out = event.bare ? response : awslambda.HttpResponseStream.from(response, { statusCode: 201, headers, cookies: ['a=1', 'b=2'] });
  out.write('one ');
  await delay(5);
  out.end('two');
});
`;
const python = `
def describe(event, context):
    first = context.get_remaining_time_in_millis()
    return {
        "same": context.aws_request_id == context.invocation_id,
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "remains": 0 < first <= 60000,
        "client": context.client_context,
        "identity": context.identity.cognito_identity_id,
    }
`;
const names = ['describe', 'callsBack', 'neverCallsBack', 'succeeds', 'fails', 'streams'];
const limits = { memoryBytes: 192 * 1024 * 1024, wallMs: 60_000 };
const streamName = expect.stringMatching(/^\d{4}\/\d\d\/\d\d\/\[1\][a-z0-9]{32}$/);

beforeAll(async () => {
  for (const name of names) {
    const files = [{ path: 'index.mjs', content: code }];
    await running.client.deploy(name.toLowerCase(), {
      runtime: 'node',
      handler: `index.${name}`,
      files,
      limits,
    });
  }
  const files = [{ path: 'app.py', content: python }];
  await running.client.deploy('python', { runtime: 'python', handler: 'app.describe', files, limits });
});

async function outcomeOf(name: string, event: unknown = {}) {
  const { id } = await running.client.invokeAsync(name, event);
  const { outcome, stdout, streamedBytes } = await running.client.wait(id);
  return { outcome, stdout, streamedBytes };
}

test("node's context has Lambda's names beside ours", async () => {
  expect((await running.client.invoke('describe', {})).result).toEqual({
    same: true,
    functionName: 'describe',
    functionVersion: '1',
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:describe:1',
    memoryLimitInMB: '192',
    logGroupName: '/aws/lambda/describe',
    logStreamName: streamName,
    callbackWaitsForEmptyEventLoop: true,
    falls: true,
  });
});

test("python's context has what Lambda's has", async () => {
  expect((await running.client.invoke('python', {})).result).toEqual({
    same: true,
    name: 'python',
    version: '1',
    arn: 'arn:aws:lambda:us-east-1:000000000000:function:python:1',
    memory: '192',
    group: '/aws/lambda/python',
    stream: streamName,
    remains: true,
    client: null,
    identity: null,
  });
});

describe('a node handler that calls back', () => {
  const result = { called: 'back' };

  test('ends when nothing is under way any more, or at once if it says so', async () => {
    expect(await outcomeOf('callsback', { waits: true })).toMatchObject({
      outcome: { status: 'ok', result },
      stdout: 'all done\n',
    });
    expect(await outcomeOf('callsback', { waits: false })).toMatchObject({
      outcome: { status: 'ok', result },
      stdout: '',
    });
  });

  test('fails with what it calls back with', async () => {
    const { outcome } = await outcomeOf('callsback', { waits: false, fails: true });
    expect(outcome).toMatchObject({ status: 'function_error', name: 'RangeError', message: 'no' });
  });

  test('has no result when it never does', async () => {
    expect((await outcomeOf('nevercallsback')).outcome).toEqual({ status: 'ok', result: null });
  });

  test('may use the functions of the context', async () => {
    expect((await outcomeOf('succeeds')).outcome).toEqual({ status: 'ok', result: { by: 'succeed' } });
    expect((await outcomeOf('fails')).outcome).toMatchObject({ name: 'TypeError', message: 'by fail' });
  });
});

describe('awslambda.streamifyResponse', () => {
  test('streams what is written, with the head that the handler gives to who comes by HTTP', async () => {
    const response = await fetch(`${running.platform.url}/fn/streams`);
    expect([response.status, response.headers.get('x-mark'), response.headers.getSetCookie()]).toEqual([
      201,
      'yes',
      ['a=1', 'b=2'],
    ]);
    expect(await response.text()).toBe('one two');
  });

  test('streams to who invokes it, and an error is the outcome', async () => {
    expect(await outcomeOf('streams', { bare: true })).toMatchObject({
      outcome: { status: 'ok' },
      streamedBytes: 7,
    });
    const { outcome } = await outcomeOf('streams', { fails: true });
    expect(outcome).toMatchObject({ status: 'function_error', name: 'RangeError' });
  });
});
