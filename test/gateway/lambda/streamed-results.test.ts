import {
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  ServiceException,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listen } from '../../../services/gateway/server.ts';
import { useGateway } from '../../support/gateway.ts';
import { nodeImage } from '../../support/images.ts';
import { useRedis } from '../../support/redis.ts';
import { streams } from '../../support/streaming-worker.ts';

const redis = useRedis();
const gateway = useGateway(redis);
const FunctionName = 'streams';
const MiB = 1024 * 1024;
let lambda: LambdaClient;

beforeEach(async () => {
  await gateway.registry.deploy({
    image: { ...nodeImage, reference: 'localhost/node:latest' },
    ...{ name: FunctionName, runtime: 'node', handler: 'index.handler', env: {}, limits: {} },
    files: [{ path: 'index.js', data: Buffer.from('') }],
  });
  const server = await listen(gateway.app, { host: '127.0.0.1', port: 0 });
  gateway.undo.push(() => server.close(1_000));
  lambda = new LambdaClient({
    ...{ endpoint: `http://127.0.0.1:${server.port}`, region: 'eu-west-1', maxAttempts: 1 },
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
});
afterEach(() => lambda.destroy());

const invoke = () => lambda.send(new InvokeCommand({ FunctionName, LogType: 'Tail' }));

async function stream() {
  const { EventStream = [] } = await lambda.send(new InvokeWithResponseStreamCommand({ FunctionName }));
  const seen: string[] = [];
  for await (const { PayloadChunk, InvokeComplete } of EventStream)
    seen.push(InvokeComplete ? 'complete' : Buffer.from(PayloadChunk?.Payload ?? []).toString());
  return seen;
}

test('a stream that is whole ends with what says so', async () => {
  await gateway.startWorker(streams(redis, ['one ', 'two']));
  expect(await stream()).toEqual(['one ', 'two', 'complete']);
});

test('a stream of which pieces were lost has no end that says it is complete', async () => {
  await gateway.startWorker(streams(redis, ['one '], { streamedBytes: 7 }));
  await expect(stream()).rejects.toThrow();
});

test('Invoke has all that a handler streams, with the log', async () => {
  await gateway.startWorker(streams(redis, ['one ', Buffer.from([255, 0])], { stdout: 'said\n' }));
  const { StatusCode, FunctionError, Payload, LogResult } = await invoke();
  expect({ StatusCode, FunctionError }).toEqual({ StatusCode: 200 });
  expect(Buffer.from(Payload ?? [])).toEqual(Buffer.from([...Buffer.from('one '), 255, 0]));
  expect(Buffer.from(LogResult ?? '', 'base64').toString()).toContain('said\nEND RequestId');
});

test('Invoke says how a handler failed behind its first piece', async () => {
  const outcome = { status: 'function_error', name: 'TypeError', message: 'late', stack: 'at …' } as const;
  await gateway.startWorker(streams(redis, ['one '], { outcome }));
  const { StatusCode, FunctionError, Payload, LogResult } = await invoke();
  expect({ StatusCode, FunctionError }).toEqual({ StatusCode: 200, FunctionError: 'Unhandled' });
  expect(JSON.parse(Payload?.transformToString() ?? '')).toMatchObject({
    ...{ errorType: 'TypeError', errorMessage: 'late' },
  });
  expect(LogResult).toBeDefined();
});

test('Invoke says that what a handler streams is too large', async () => {
  const pieces = Array.from({ length: 7 * 16 }, () => Buffer.alloc(MiB / 16));
  await gateway.startWorker(streams(redis, pieces));
  const { StatusCode, FunctionError, Payload } = await invoke();
  expect({ StatusCode, FunctionError }).toEqual({ StatusCode: 200, FunctionError: 'Unhandled' });
  expect(JSON.parse(Payload?.transformToString() ?? '')).toMatchObject({
    errorType: 'Function.ResponseSizeTooLarge',
  });
});

test('Invoke has no part for the whole', async () => {
  await gateway.startWorker(streams(redis, ['one '], { streamedBytes: 7 }));
  await expect(invoke()).rejects.toBeInstanceOf(ServiceException);
});
