import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { beforeEach, expect, test } from 'vitest';
import { createClient, OnceboxError } from '../../sdk/client.ts';
import { type GatewayServer, listen } from '../../services/gateway/server.ts';
import { finished, gate, untilCancelled, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const gateway = useGateway(useRedis());
let server: GatewayServer;

beforeEach(async () => {
  server = await listen(gateway.app, { host: '127.0.0.1', port: 0 });
  gateway.undo.push(() => server.close(0));
});

const client = () => createClient(`http://127.0.0.1:${server.port}/`);
const hello = {
  runtime: 'node' as const,
  handler: 'index.handler',
  files: [{ path: 'index.js', content: 'exports.handler = (e) => e' }],
};

test('the client deploys, lists, invokes, reads and deletes', async () => {
  await gateway.startWorker(async (job) => finished(job, { outcome: { status: 'ok', result: 7 } }));
  const deployed = await client().deploy('hello', hello);
  expect(await client().functions()).toEqual([deployed]);
  expect(await client().getFunction('hello')).toMatchObject({ name: 'hello', current: 1 });
  const { result, invocationId, start } = await client().invoke('hello', { a: 1 });
  expect([result, start]).toEqual([7, 'warm']);
  expect(await client().invocation(invocationId)).toMatchObject({ id: invocationId });
  expect(await client().run({ runtime: 'bash', code: '' })).toMatchObject({ status: 'done' });
  await client().deleteFunction('hello');
  const refused = await client()
    .invoke('hello')
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(OnceboxError);
  expect(refused).toMatchObject({ status: 404, code: 'function_not_found' });
});

test('the client cancels what it started asynchronously', async () => {
  const { id } = await client().runAsync({ runtime: 'node', code: '' });
  expect(await client().cancel(id)).toMatchObject({ id, outcome: { status: 'cancelled' } });
  expect(await client().nodes()).toEqual([]);
  expect(await client().sandboxes()).toEqual({ sandboxes: [], silentNodes: [] });
});

test('a client that hangs up cancels its invocation', async () => {
  const started = gate();
  const ended = gate();
  await gateway.startWorker(async (job, cancelled) => {
    started.open();
    const invocation = await untilCancelled(job, cancelled);
    ended.open();
    return invocation;
  });
  const leaving = new AbortController();
  const run = client().run({ runtime: 'node', code: '' }, { signal: leaving.signal });
  const aborted = expect(run).rejects.toThrow(/abort/);
  await started.opened;
  leaving.abort();
  await aborted;
  await ended.opened;
});

test("a client that hangs up leaves an invocation with the caller's own key running", async () => {
  const started = gate();
  const mayEnd = gate();
  await gateway.startWorker(async (job, cancelled) => {
    started.open();
    await mayEnd.opened;
    return finished(job, { outcome: { status: cancelled.aborted ? 'cancelled' : 'ok' } });
  });
  const leaving = new AbortController();
  const request = { runtime: 'node', code: '' } as const;
  const options = { idempotencyKey: 'order-7' };
  const run = client().run(request, { ...options, signal: leaving.signal });
  const aborted = expect(run).rejects.toThrow(/abort/);
  await started.opened;
  leaving.abort();
  await aborted;
  mayEnd.open();
  expect(await client().run(request, options)).toMatchObject({ outcome: { status: 'ok' } });
});

test('a body that is longer than announced limits is refused while it is sent', async () => {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const request = httpRequest({ port: server.port, path: '/v1/run', method: 'POST' }, (response) => {
      resolve(response.statusCode);
      request.destroy();
    });
    request.on('error', reject);
    // Chunked: no length is announced, and the end never comes.
    request.write(Buffer.alloc(70_000, 0x20));
  });
  expect(status).toBe(413);
});

test('garbage instead of HTTP is a 400 and the gateway goes on', async () => {
  const reply = await new Promise<string>((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.end('\x16\x03\x01 what?\r\n\r\n'));
    socket.once('data', (data) => resolve(data.toString()));
    socket.once('error', reject);
  });
  expect(reply).toMatch(/^HTTP\/1\.1 400 /);
  expect((await fetch(`http://127.0.0.1:${server.port}/healthz`)).status).toBe(200);
});

test('a closing server lets a request under way finish', async () => {
  const started = gate();
  const finish = gate();
  await gateway.startWorker(async (job) => {
    started.open();
    await finish.opened;
    return finished(job, { stdout: 'x' });
  });
  const run = client().run({ runtime: 'node', code: '' });
  await started.opened;
  const closed = server.close(30_000);
  await expect(fetch(`http://127.0.0.1:${server.port}/healthz`)).rejects.toThrow();
  finish.open();
  expect(await run).toMatchObject({ stdout: 'x' });
  await closed;
});
