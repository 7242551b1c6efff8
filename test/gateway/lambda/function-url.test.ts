import { once } from 'node:events';
import { request } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import { listen } from '../../../services/gateway/server.ts';
import type { InvocationJob } from '../../../services/queue/job.ts';
import { finished, gate, useGateway } from '../../support/gateway.ts';
import { nodeImage } from '../../support/images.ts';
import { useRedis } from '../../support/redis.ts';
import { streams } from '../../support/streaming-worker.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_BODY_MAX_BYTES: String(1024 * 1024) });
const config = '/2021-10-31/functions/site/url';
const MiB = 1024 * 1024;

beforeEach(async () => {
  await gateway.registry.deploy({
    image: { ...nodeImage, reference: 'localhost/node:latest' },
    ...{ name: 'site', runtime: 'node', handler: 'index.handler', env: {}, limits: {} },
    files: [{ path: 'index.js', data: Buffer.from('') }],
  });
});

async function answer(InvokeMode: string) {
  await gateway.postJson(config, { AuthType: 'NONE', InvokeMode });
  const response = await gateway.app.request('/lambda-url/site/');
  const type = response.headers.get('content-type');
  return { response, status: response.status, type, text: await response.text() };
}

const head = (fields: object) => `${JSON.stringify(fields)}${'\0'.repeat(8)}`;
const octets = 'application/octet-stream';

describe.each(['BUFFERED', 'RESPONSE_STREAM'])('what a handler streams to a URL whose mode is %s', (mode) => {
  test('has the status, headers and cookies that are ahead of it', async () => {
    const fields = {
      ...{ statusCode: 201, headers: { 'Content-Type': 'text/html', 'X-Own': 1 }, cookies: ['a=1', 'b=2'] },
    };
    await gateway.startWorker(streams(redis, [head(fields), 'one ', Buffer.from('two')]));
    const { response, status, type, text } = await answer(mode);
    expect({ status, type, text }).toEqual({ status: 201, type: 'text/html', text: 'one two' });
    expect(response.headers.get('x-own')).toBe('1');
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  });

  test('has them also when they come in pieces, and the last with some of the body', async () => {
    const whole = `${head({ headers: { 'x-own': 'mine' } })}one`;
    // The third ends among the NULs.
    const cuts = [1, 20, whole.indexOf('\0') + 3, whole.length];
    const pieces = cuts.map((end, index) => whole.slice(cuts[index - 1] ?? 0, end));
    await gateway.startWorker(streams(redis, pieces));
    const { response, ...seen } = await answer(mode);
    expect(seen).toEqual({ status: 200, type: octets, text: 'one' });
    expect(response.headers.get('x-own')).toBe('mine');
  });

  test('is a 204 without a body where it says so', async () => {
    await gateway.startWorker(streams(redis, [head({ statusCode: 204 }), 'nothing']));
    expect(await answer(mode)).toMatchObject({ status: 204, text: '' });
  });

  test.each([
    ['text', ['one ', 'two']],
    ['JSON', ['{"', 'items":[1,2]}']],
    ['JSON that looks like a head', ['{"statusCode":200,', '"body":"one"}']],
    ['NULs', ['one', '\0'.repeat(16)]],
    ['nothing', []],
  ])('is the body as it is where that is %s', async (_, pieces) => {
    await gateway.startWorker(streams(redis, pieces));
    expect(await answer(mode)).toMatchObject({ status: 200, type: octets, text: pieces.join('') });
  });

  test.each([
    ['no JSON', `{"headers":{${'\0'.repeat(8)}`],
    ['no status', head({ statusCode: 99 })],
    ['no header', head({ headers: { 'a b': 'c' } })],
  ])('is a 502 where its head is %s', async (_, first) => {
    await gateway.startWorker(streams(redis, [first, 'one']));
    expect(await answer(mode)).toMatchObject({ status: 502, text: '{"Message":"Internal Server Error"}' });
  });
});

const failing = {
  outcome: { status: 'function_error', name: 'TypeError', message: 'late', stack: 'at …' } as const,
};

test('where the mode is RESPONSE_STREAM a piece goes out as it comes, and a failure behind it cuts', async () => {
  const ended = gate();
  await gateway.startWorker(async (job) => {
    const record = await streams(redis, [head({}), 'one '], failing)(job, new AbortController().signal);
    await ended.opened;
    return record;
  });
  await gateway.postJson(config, { AuthType: 'NONE', InvokeMode: 'RESPONSE_STREAM' });
  const { status, body } = await gateway.app.request('/lambda-url/site');
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const first = await reader.read();
  expect([status, Buffer.from(first.value ?? []).toString()]).toEqual([200, 'one ']);
  ended.open();
  await expect(reader.read()).rejects.toThrow();
});

test('where the mode is BUFFERED a failure behind the first piece is a 502', async () => {
  await gateway.startWorker(streams(redis, [head({}), 'one '], failing));
  expect(await answer('BUFFERED')).toMatchObject({ status: 502 });
});

test('what is too large to be buffered is a 502, and is streamed', async () => {
  const pieces = Array.from({ length: 7 * 16 }, () => Buffer.alloc(MiB / 16, 'x'));
  await gateway.startWorker(streams(redis, pieces));
  expect(await answer('BUFFERED')).toMatchObject({ status: 502 });
  await gateway.postJson(config, { InvokeMode: 'RESPONSE_STREAM' }, { method: 'PUT' });
  const streamed = await gateway.app.request('/lambda-url/site');
  expect((await streamed.text()).length).toBe(7 * MiB);
});

test('a handler that streams nothing is answered for as it returns, in either mode', async () => {
  const result = { statusCode: 201, body: 'one' };
  await gateway.startWorker(async (job) => finished(job, { outcome: { status: 'ok', result } }));
  expect(await answer('RESPONSE_STREAM')).toMatchObject({ status: 201, text: 'one' });
});

test('the source of a request is who is at the other end of its connection', async () => {
  const jobs: InvocationJob[] = [];
  await gateway.startWorker(async (job) => {
    jobs.push(job.data);
    return finished(job);
  });
  await gateway.postJson(config, { AuthType: 'NONE' });
  const server = await listen(gateway.app, { host: '127.0.0.1', port: 0 });
  gateway.undo.push(() => server.close(1_000));
  const asked = request({
    ...{ host: '127.0.0.1', port: server.port, path: '/lambda-url/site/', localAddress: '127.0.0.2' },
    headers: { 'x-forwarded-for': '192.0.2.1' },
  }).end();
  const [response] = await once(asked, 'response');
  response.resume();
  const { program } = jobs[0] as InvocationJob;
  expect(JSON.parse((program as { eventJson: string }).eventJson)).toMatchObject({
    ...{ headers: { 'x-forwarded-for': '192.0.2.1' } },
    requestContext: { http: { sourceIp: '127.0.0.2' } },
  });
});
