import {
  CreateAliasCommand,
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  DeleteAliasCommand,
  DeleteFunctionCommand,
  DeleteFunctionConcurrencyCommand,
  DeleteFunctionUrlConfigCommand,
  GetAccountSettingsCommand,
  GetAliasCommand,
  GetFunctionCommand,
  GetFunctionConcurrencyCommand,
  GetFunctionConfigurationCommand,
  GetFunctionUrlConfigCommand,
  InvokeAsyncCommand,
  InvokeCommand,
  type InvokeCommandInput,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  ListAliasesCommand,
  ListFunctionsCommand,
  ListFunctionUrlConfigsCommand,
  ListTagsCommand,
  ListVersionsByFunctionCommand,
  PublishVersionCommand,
  PutFunctionConcurrencyCommand,
  paginateListFunctions,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  UpdateFunctionUrlConfigCommand,
  waitUntilFunctionActive,
  waitUntilFunctionActiveV2,
  waitUntilFunctionExists,
  waitUntilFunctionUpdated,
  waitUntilFunctionUpdatedV2,
  waitUntilPublishedVersionActive,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';
import { zipOf } from '../support/zip.ts';

// The unmodified client of AWS against a whole platform.
const running = usePlatform();
const patience = { timeout: 60_000, interval: 50 };
const Role = 'arn:aws:iam::000000000000:role/any';
let lambda: LambdaClient;
let names: string[];

beforeEach(() => {
  names = [];
  lambda = clientOf();
});
afterEach(async () => {
  for (const FunctionName of names)
    await lambda.send(new DeleteFunctionCommand({ FunctionName })).catch(() => {});
  lambda.destroy();
});

function clientOf(options: object = {}): LambdaClient {
  return new LambdaClient({
    endpoint: running.platform.url,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    ...options,
  });
}

async function create(name: string, source: string, options: object = {}) {
  names.push(name);
  return lambda.send(
    new CreateFunctionCommand({
      ...{ FunctionName: name, Role, Runtime: 'nodejs22.x', Handler: 'index.handler', Timeout: 60 },
      Code: { ZipFile: zipOf({ 'index.mjs': source }) },
      ...options,
    }),
  );
}

const python = (source: string) => ({
  ...{ Runtime: 'python3.12', Handler: 'app.lambda_handler' },
  Code: { ZipFile: zipOf({ 'app.py': source }) },
});

async function invoke(name: string, payload?: unknown, options: Partial<InvokeCommandInput> = {}) {
  const { Payload, LogResult, ...reply } = await lambda.send(
    new InvokeCommand({
      FunctionName: name,
      ...(payload !== undefined && { Payload: JSON.stringify(payload) }),
      ...options,
    }),
  );
  const text = Payload?.transformToString() ?? '';
  return {
    ...reply,
    payload: text === '' ? undefined : JSON.parse(text),
    log: LogResult === undefined ? undefined : Buffer.from(LogResult, 'base64').toString(),
  };
}

const echo = 'export const handler = async (event) => ({ event });';

test('a function is created, waited for, called, shown, changed and deleted', async () => {
  const made = await create('Echo_1', echo, {
    ...{ Description: 'says it again', Timeout: 70, MemorySize: 256, EphemeralStorage: { Size: 600 } },
    Environment: { Variables: { GREETING: 'hello' } },
    Tags: { team: 'blue' },
  });
  expect(made).toMatchObject({
    ...{ FunctionName: 'Echo_1', Version: '$LATEST', State: 'Active', LastUpdateStatus: 'Successful', Role },
    ...{ Runtime: 'nodejs22.x', Handler: 'index.handler', PackageType: 'Zip', Description: 'says it again' },
    ...{ Timeout: 70, MemorySize: 256, EphemeralStorage: { Size: 600 } },
    FunctionArn: 'arn:aws:lambda:eu-central-1:000000000000:function:Echo_1',
    Environment: { Variables: { GREETING: 'hello' } },
  });
  const waiting = { client: lambda, maxWaitTime: 60 };
  const FunctionName = 'Echo_1';
  await waitUntilFunctionExists(waiting, { FunctionName });
  await waitUntilFunctionActiveV2(waiting, { FunctionName });
  expect(await invoke('Echo_1', { a: 'é' })).toMatchObject({
    ...{ StatusCode: 200, ExecutedVersion: '$LATEST', payload: { event: { a: 'é' } } },
  });
  // By its ARN, whole or in part, and without a payload.
  expect((await invoke(made.FunctionArn ?? '')).payload).toEqual({ event: {} });
  expect((await invoke('000000000000:function:Echo_1', 1)).payload).toEqual({ event: 1 });

  const got = await lambda.send(new GetFunctionCommand({ FunctionName }));
  const { $metadata: _, ...configuration } = made;
  expect(got).toMatchObject({ Configuration: configuration, Tags: { team: 'blue' } });

  const changed = await lambda.send(
    new UpdateFunctionConfigurationCommand({
      FunctionName,
      Timeout: 90,
      Environment: { Variables: { X: '1' } },
    }),
  );
  expect(changed).toMatchObject({ Timeout: 90, MemorySize: 256, CodeSha256: made.CodeSha256 });
  expect(changed.Environment?.Variables).toEqual({ X: '1' });
  expect(changed.RevisionId).not.toBe(made.RevisionId);
  await waitUntilFunctionUpdatedV2(waiting, { FunctionName });
  expect((await invoke('Echo_1', 2)).payload).toEqual({ event: 2 });

  const ZipFile = zipOf({ 'index.mjs': 'export const handler = () => process.env.X' });
  const stale = new UpdateFunctionCodeCommand({ FunctionName, ZipFile, RevisionId: made.RevisionId });
  await expect(lambda.send(stale)).rejects.toMatchObject({ name: 'PreconditionFailedException' });
  await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile }));
  expect((await invoke('Echo_1')).payload).toBe('1');

  expect(await lambda.send(new DeleteFunctionCommand({ FunctionName }))).toMatchObject({
    $metadata: { httpStatusCode: 204 },
  });
  await expect(lambda.send(new GetFunctionConfigurationCommand({ FunctionName }))).rejects.toMatchObject({
    ...{ name: 'ResourceNotFoundException', $metadata: { httpStatusCode: 404 } },
  });
});

test('waiters that look at the configuration alone are answered too', async () => {
  const FunctionName = 'waited';
  await create(FunctionName, echo);
  const waiting = { client: lambda, maxWaitTime: 60 };
  const success = { state: 'SUCCESS', reason: { FunctionName } };
  expect(await waitUntilFunctionActive(waiting, { FunctionName })).toMatchObject(success);
  await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 9 }));
  const updated = await waitUntilFunctionUpdated(waiting, { FunctionName });
  expect(updated).toMatchObject({ ...success, reason: { Timeout: 9, LastUpdateStatus: 'Successful' } });
});

test('a python handler in a directory is called, with files that keep their mode', async () => {
  names.push('py');
  await lambda.send(
    new CreateFunctionCommand({
      ...{ FunctionName: 'py', Role, Runtime: 'python3.11', Handler: 'src.app.lambda_handler', Timeout: 60 },
      Code: {
        ZipFile: zipOf({
          'src/app.py':
            'import subprocess\ndef lambda_handler(event, context):\n  return [event, context.function_name, subprocess.check_output("/function/bin/hi").decode()]',
          'bin/hi': { content: '#!/bin/sh\necho hi', mode: 0o100755 },
        }),
      },
    }),
  );
  expect((await invoke('py', { a: 1 })).payload).toEqual([{ a: 1 }, 'py', 'hi\n']);
});

test('an image whose program speaks the Runtime API is called, with another command of its own too', async () => {
  const FunctionName = 'image';
  names.push(FunctionName);
  const program = (word: string) => `
    const base = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
    const next = await fetch(base + 'next');
    const id = next.headers.get('lambda-runtime-aws-request-id');
    const body = JSON.stringify({ ${word}: await next.json(), name: process.env.AWS_LAMBDA_FUNCTION_NAME, own: process.env.OWN });
    await fetch(base + id + '/response', { method: 'POST', body });
    await fetch(base + 'next');`;
  const ImageConfig = { EntryPoint: ['node', '--input-type=module', '-e', program('got')] };
  const made = await lambda.send(
    new CreateFunctionCommand({
      ...{
        FunctionName,
        Role,
        PackageType: 'Image',
        Code: { ImageUri: 'localhost/node:latest' },
        ImageConfig,
      },
      ...{ Timeout: 60, Environment: { Variables: { OWN: '1' } } },
    }),
  );
  expect(made).toMatchObject({ PackageType: 'Image', ImageConfigResponse: { ImageConfig } });
  expect((await invoke(FunctionName, 5)).payload).toEqual({ got: 5, name: FunctionName, own: '1' });
  const { Code } = await lambda.send(new GetFunctionCommand({ FunctionName }));
  expect(Code).toMatchObject({ RepositoryType: 'ECR', ImageUri: 'localhost/node:latest' });
  await lambda.send(
    new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables: { OWN: '2' } } }),
  );
  expect((await invoke(FunctionName, 6)).payload).toEqual({ got: 6, name: FunctionName, own: '2' });
  await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri: 'localhost/node:latest' }));
  expect((await invoke(FunctionName, 7)).payload).toMatchObject({ got: 7 });
});

test('a handler is told of its call: limits, names and what the client says of itself', async () => {
  await create(
    'told',
    `export const handler = (event, context) => ({
       arn: context.invokedFunctionArn, memory: context.memoryLimitInMB, client: context.clientContext,
       left: context.getRemainingTimeInMillis() > 0, id: context.awsRequestId })`,
  );
  const ClientContext = Buffer.from(JSON.stringify({ custom: { who: 'é' } })).toString('base64');
  const reply = await lambda.send(new InvokeCommand({ FunctionName: 'told', ClientContext }));
  expect(JSON.parse(reply.Payload?.transformToString() ?? '')).toMatchObject({
    ...{ arn: 'arn:aws:lambda:eu-central-1:000000000000:function:told', memory: '128', left: true },
    ...{ id: reply.$metadata.requestId, client: { custom: { who: 'é' } } },
  });
});

test('the end of the log is told, between the lines of Lambda', async () => {
  await create(
    'talks',
    'console.log("at init"); export const handler = (e) => { console.log("said"); console.error("also"); }',
  );
  const { log, payload } = await invoke('talks', {}, { LogType: 'Tail' });
  expect(payload).toBeNull();
  expect(log).toMatch(
    /^START RequestId: (\S+) Version: \$LATEST\n[\s\S]*said\nalso\nEND RequestId: \1\nREPORT RequestId: \1\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\t/,
  );
  await create('shouts', 'export const handler = () => console.log("x".repeat(10_000))');
  const long = await invoke('shouts', {}, { LogType: 'Tail' });
  expect(long.log).toHaveLength(4096);
  expect(long.log).toMatch(/^x+\nEND /);
});

test('what a function does wrong is a 200 with the header, by type', async () => {
  await create(
    'throws',
    'class Own extends Error { name = "Own" }; export const handler = () => { throw new Own("no") }',
  );
  const thrown = await invoke('throws');
  expect(thrown).toMatchObject({ StatusCode: 200, FunctionError: 'Unhandled' });
  expect(thrown.payload).toMatchObject({ errorType: 'Own', errorMessage: 'no', trace: expect.any(Array) });

  await create('raises', '', python('def lambda_handler(event, context):\n  raise ValueError("bad")'));
  const raised = await invoke('raises');
  expect(raised).toMatchObject({
    FunctionError: 'Unhandled',
    payload: { errorType: 'ValueError', errorMessage: 'bad' },
  });
  expect(raised.payload.stackTrace[0]).toContain('line 2, in lambda_handler');

  await create('slow', 'export const handler = () => new Promise(() => setInterval(() => {}, 1e6))', {
    Timeout: 1,
  });
  const late = await invoke('slow', {}, { LogType: 'Tail' });
  expect(late.payload).toMatchObject({ errorType: 'Sandbox.Timedout' });
  expect(late.payload.errorMessage).toMatch(/^RequestId: inv_\w+ Error: Task timed out after 1\.00 seconds$/);
  expect(late.log).toContain('Task timed out after 1.00 seconds');

  await create(
    'eats',
    '',
    python('def lambda_handler(event, context):\n  return len(bytearray(300_000_000))'),
  );
  expect((await invoke('eats')).payload).toMatchObject({ errorType: 'Runtime.OutOfMemory' });

  await create('exits', 'export const handler = () => process.exit(3)');
  expect((await invoke('exits')).payload).toMatchObject({
    ...{ errorType: 'Runtime.ExitError', errorMessage: expect.stringContaining('exit status 3') },
  });
});

test('Event is accepted and runs, DryRun does not run, InvokeAsync does', async () => {
  await create('later', 'export const handler = (event) => event');
  const before = (await running.client.invocations({ function: 'later' })).length;
  expect(await invoke('later', {}, { InvocationType: 'DryRun' })).toMatchObject({ StatusCode: 204 });
  const event = await invoke('later', { n: 1 }, { InvocationType: 'Event' });
  expect(event).toMatchObject({ StatusCode: 202, payload: undefined });
  const legacy = await lambda.send(new InvokeAsyncCommand({ FunctionName: 'later', InvokeArgs: '{"n":2}' }));
  expect(legacy.Status).toBe(202);
  await vi.waitFor(async () => {
    const invocations = await running.client.invocations({ function: 'later' });
    expect(invocations).toHaveLength(before + 2);
    for (const { outcome } of invocations) expect(outcome?.status).toBe('ok');
  }, patience);
});

test('a streamed result comes in pieces, and the end says how it ended', async () => {
  await create(
    'streams',
    'export async function* handler() { yield "one "; yield new Uint8Array([255, 0]); console.log("done") }',
  );
  expect(await streamOf('streams')).toMatchObject({
    ...{ bytes: Buffer.concat([Buffer.from('one '), Buffer.from([255, 0])]) },
    complete: { LogResult: expect.any(String) },
  });
  await create('whole', 'export const handler = () => ({ a: 1 })');
  expect((await streamOf('whole')).bytes.toString()).toBe('{"a":1}');
  await create('breaks', 'export async function* handler() { yield "one "; throw new TypeError("broken") }');
  const broken = await streamOf('breaks');
  expect(broken.bytes.toString()).toBe('one ');
  expect(broken.complete?.ErrorCode).toBe('TypeError');
  expect(JSON.parse(broken.complete?.ErrorDetails ?? '')).toMatchObject({ errorMessage: 'broken' });
});

async function streamOf(FunctionName: string) {
  const reply = await lambda.send(new InvokeWithResponseStreamCommand({ FunctionName, LogType: 'Tail' }));
  const chunks: Uint8Array[] = [];
  let complete: { ErrorCode?: string; ErrorDetails?: string; LogResult?: string } | undefined;
  for await (const event of reply.EventStream ?? []) {
    if (event.PayloadChunk?.Payload) chunks.push(event.PayloadChunk.Payload);
    if (event.InvokeComplete) complete = event.InvokeComplete as typeof complete;
  }
  return { bytes: Buffer.concat(chunks), complete };
}

test('versions are published, aliases point at them with weights, and qualifiers choose', async () => {
  const FunctionName = 'versioned';
  await create(FunctionName, 'export const handler = () => "one"', { Publish: true });
  const update = (word: string) =>
    lambda.send(
      new UpdateFunctionCodeCommand({
        ...{ FunctionName, ZipFile: zipOf({ 'index.mjs': `export const handler = () => "${word}"` }) },
      }),
    );
  await update('two');
  const second = await lambda.send(new PublishVersionCommand({ FunctionName, Description: 'the second' }));
  expect(second).toMatchObject({ Version: '2', Description: 'the second' });
  // What is published already stays what it is.
  expect((await lambda.send(new PublishVersionCommand({ FunctionName }))).Version).toBe('2');
  await waitUntilPublishedVersionActive(
    { client: lambda, maxWaitTime: 60 },
    { FunctionName, Qualifier: '2' },
  );
  await update('three');
  expect(await invoke(FunctionName)).toMatchObject({ payload: 'three', ExecutedVersion: '$LATEST' });
  expect(await invoke(FunctionName, {}, { Qualifier: '1' })).toMatchObject({
    payload: 'one',
    ExecutedVersion: '1',
  });
  expect((await invoke(`${FunctionName}:$LATEST`)).payload).toBe('three');
  const { Versions = [] } = await lambda.send(new ListVersionsByFunctionCommand({ FunctionName }));
  expect(Versions.map(({ Version }) => Version)).toEqual(['$LATEST', '1', '2']);

  const alias = { FunctionName, Name: 'PROD', FunctionVersion: '1', Description: 'what all use' };
  const made = await lambda.send(new CreateAliasCommand(alias));
  expect(made).toMatchObject({ Name: 'PROD', FunctionVersion: '1', Description: 'what all use' });
  await expect(lambda.send(new CreateAliasCommand(alias))).rejects.toMatchObject({
    name: 'ResourceConflictException',
  });
  expect(await invoke(FunctionName, {}, { Qualifier: 'PROD' })).toMatchObject({
    payload: 'one',
    ExecutedVersion: '1',
  });
  const RoutingConfig = { AdditionalVersionWeights: { '2': 1 } };
  await lambda.send(new UpdateAliasCommand({ FunctionName, Name: 'PROD', RoutingConfig }));
  expect(await invoke(made.AliasArn ?? '')).toMatchObject({ payload: 'two', ExecutedVersion: '2' });
  const got = await lambda.send(new GetAliasCommand({ FunctionName, Name: 'PROD' }));
  expect(got).toMatchObject({ FunctionVersion: '1', RoutingConfig, Description: 'what all use' });
  const listed = await lambda.send(new ListAliasesCommand({ FunctionName, FunctionVersion: '1' }));
  expect(listed.Aliases?.map(({ Name }) => Name)).toEqual(['PROD']);
  const used = new DeleteFunctionCommand({ FunctionName, Qualifier: '1' });
  await expect(lambda.send(used)).rejects.toMatchObject({ name: 'ResourceConflictException' });
  await lambda.send(new DeleteAliasCommand({ FunctionName, Name: 'PROD' }));
  await lambda.send(new DeleteAliasCommand({ FunctionName, Name: 'PROD' }));
  await lambda.send(used);
  await expect(invoke(FunctionName, {}, { Qualifier: '1' })).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
  });
});

test('lists come in pages, and tags are put and taken', async () => {
  for (const name of ['page-a', 'page-b', 'page-c']) await create(name, echo);
  const pages = paginateListFunctions({ client: lambda, pageSize: 2 }, {});
  const found: (string | undefined)[][] = [];
  for await (const { Functions = [] } of pages) found.push(Functions.map(({ FunctionName }) => FunctionName));
  expect(found).toEqual([['page-a', 'page-b'], ['page-c']]);
  const all = await lambda.send(new ListFunctionsCommand({ FunctionVersion: 'ALL' }));
  expect(all.Functions).toHaveLength(3);

  const Resource = all.Functions?.[0]?.FunctionArn?.replace(/:\$LATEST$/, '') ?? '';
  await lambda.send(new TagResourceCommand({ Resource, Tags: { 'a b': 'c', team: 'blue' } }));
  await lambda.send(new UntagResourceCommand({ Resource, TagKeys: ['team'] }));
  expect((await lambda.send(new ListTagsCommand({ Resource }))).Tags).toEqual({ 'a b': 'c' });
  const { AccountUsage } = await lambda.send(new GetAccountSettingsCommand({}));
  expect(AccountUsage?.FunctionCount).toBe(3);
});

test('beyond its reserved concurrency a call is throttled, and the client tries again', async () => {
  const FunctionName = 'few';
  await create(
    FunctionName,
    'export const handler = (wait) => wait && new Promise(() => setInterval(() => {}, 1e6))',
    { Timeout: 600 },
  );
  const put = new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 1 });
  expect((await lambda.send(put)).ReservedConcurrentExecutions).toBe(1);
  const get = new GetFunctionConcurrencyCommand({ FunctionName });
  expect((await lambda.send(get)).ReservedConcurrentExecutions).toBe(1);

  const hangUp = new AbortController();
  const first = lambda.send(new InvokeCommand({ FunctionName, Payload: 'true' }), {
    abortSignal: hangUp.signal,
  });
  const ended = first.catch(() => {});
  await vi.waitFor(async () => {
    const invocations = await running.client.invocations({ function: FunctionName });
    expect(invocations[0]?.status).toBe('running');
  }, patience);
  const once = clientOf({ maxAttempts: 1 });
  await expect(once.send(new InvokeCommand({ FunctionName, Payload: 'false' }))).rejects.toMatchObject({
    ...{ name: 'TooManyRequestsException', retryAfterSeconds: '1', $metadata: { httpStatusCode: 429 } },
    Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
  });
  once.destroy();

  // The one that is in the way goes when the second has been refused.
  const persistent = clientOf({ maxAttempts: 20 });
  let refused = 0;
  persistent.middlewareStack.add(
    (next) => async (args) => {
      const reply = await next(args);
      if ((reply.response as { statusCode: number }).statusCode === 429) {
        refused += 1;
        hangUp.abort();
      }
      return reply;
    },
    { step: 'deserialize', priority: 'low', name: 'watch' },
  );
  const reply = await persistent.send(new InvokeCommand({ FunctionName, Payload: 'false' }));
  expect(reply.StatusCode).toBe(200);
  expect(refused).toBeGreaterThan(0);
  expect(reply.$metadata.attempts).toBe(refused + 1);
  persistent.destroy();
  await ended;
  // Nothing reserved is nothing that runs.
  await lambda.send(new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 0 }));
  expect((await lambda.send(get)).ReservedConcurrentExecutions).toBe(0);
  const never = clientOf({ maxAttempts: 1 });
  await expect(never.send(new InvokeCommand({ FunctionName, Payload: 'false' }))).rejects.toMatchObject({
    name: 'TooManyRequestsException',
  });
  never.destroy();
  await lambda.send(new DeleteFunctionConcurrencyCommand({ FunctionName }));
  expect((await lambda.send(get)).ReservedConcurrentExecutions).toBeUndefined();
});

test('a function has a URL, whose requests are events of format 2.0', async () => {
  const FunctionName = 'site';
  await create(
    FunctionName,
    `export const handler = (event) => event.rawPath === '/plain' ? { hello: event.queryStringParameters.q }
       : { statusCode: 201, headers: { 'X-Own': 'mine' }, cookies: ['a=1', 'b=2'], body: JSON.stringify(event) }`,
  );
  const made = await lambda.send(new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: 'NONE' }));
  expect(made).toMatchObject({ AuthType: 'NONE', InvokeMode: 'BUFFERED' });
  const url = made.FunctionUrl ?? '';
  const response = await fetch(`${url}a%20b?q=1&q=2&x=`, {
    method: 'POST',
    body: 'é',
    headers: { cookie: 'c=3; d=4', 'content-type': 'text/plain', accept: 'text/event-stream' },
  });
  expect([response.status, response.headers.get('x-own')]).toEqual([201, 'mine']);
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  expect(await response.json()).toMatchObject({
    ...{ version: '2.0', rawPath: '/a%20b', rawQueryString: 'q=1&q=2&x=', cookies: ['c=3', 'd=4'] },
    ...{ queryStringParameters: { q: '1,2', x: '' }, body: 'é', isBase64Encoded: false },
    requestContext: { http: { method: 'POST', path: '/a%20b' }, stage: '$default' },
  });
  expect(await (await fetch(`${url}plain?q=5`)).json()).toEqual({ hello: '5' });
  const bytes = await fetch(url, { method: 'POST', body: new Uint8Array([0, 255]) });
  expect(await bytes.json()).toMatchObject({ isBase64Encoded: true, body: 'AP8=', rawPath: '/' });

  await lambda.send(new UpdateFunctionUrlConfigCommand({ FunctionName, InvokeMode: 'RESPONSE_STREAM' }));
  expect(await lambda.send(new GetFunctionUrlConfigCommand({ FunctionName }))).toMatchObject({
    InvokeMode: 'RESPONSE_STREAM',
  });
  const { FunctionUrlConfigs } = await lambda.send(new ListFunctionUrlConfigsCommand({ FunctionName }));
  expect(FunctionUrlConfigs).toHaveLength(1);
  await lambda.send(new DeleteFunctionUrlConfigCommand({ FunctionName }));
  expect((await fetch(url)).status).toBe(404);
});

test('what is wrong with a request is told by type and status', async () => {
  await create('there', echo);
  const failing: [() => Promise<unknown>, string, number][] = [
    [() => invoke('nobody'), 'ResourceNotFoundException', 404],
    [() => invoke('there', {}, { Qualifier: 'none' }), 'ResourceNotFoundException', 404],
    [() => invoke('a b'), 'InvalidParameterValueException', 400],
    [() => invoke('there', undefined, { Payload: '{' }), 'InvalidRequestContentException', 400],
    [() => invoke('there', 'x'.repeat(6 * 1024 * 1024)), 'RequestTooLargeException', 413],
    [
      () => invoke('there', 'x'.repeat(1024 * 1024), { InvocationType: 'Event' }),
      'RequestTooLargeException',
      413,
    ],
    [() => create('there', echo), 'ResourceConflictException', 409],
    [() => create('other', echo, { Runtime: 'java21' }), 'InvalidParameterValueException', 400],
    [() => create('other', echo, { Handler: 'missing.handler' }), 'InvalidParameterValueException', 400],
    [
      () => create('other', echo, { Code: { ZipFile: Buffer.from('none') } }),
      'InvalidParameterValueException',
      400,
    ],
    [() => create('other', echo, { MemorySize: 64 }), 'InvalidParameterValueException', 400],
    [
      () => create('other', echo, { Layers: ['arn:aws:lambda:x:000000000000:layer:l:1'] }),
      'InvalidParameterValueException',
      400,
    ],
  ];
  for (const [asked, name, httpStatusCode] of failing)
    await expect(asked()).rejects.toMatchObject({ name, $metadata: { httpStatusCode } });
  const response = await fetch(`${running.platform.url}/2015-03-31/event-source-mappings`);
  expect([response.status, response.headers.get('x-amzn-errortype')]).toEqual([
    404,
    'UnknownOperationException',
  ]);
});
