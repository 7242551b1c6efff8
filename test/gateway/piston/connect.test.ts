import { describe, expect, onTestFinished, test } from 'vitest';
import WebSocket from 'ws';
import { listen } from '../../../services/gateway/server.ts';
import { appendEvents } from '../../../services/queue/event-stream.ts';
import { finished, type TestGateway, untilCancelled, useGateway } from '../../support/gateway.ts';
import { connectPiston } from '../../support/piston-websocket.ts';
import { exchange, opened, repliesIn } from '../../support/raw-http.ts';
import { useRedis } from '../../support/redis.ts';

const testRedis = useRedis();
const patience = { timeout: 60_000 };
const init = { type: 'init', language: 'bash', version: '*', files: [{ content: 'echo 1' }] };

async function serve({ app }: TestGateway): Promise<number> {
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close(0));
  return server.port;
}

/** The status and the body of what is answered instead of a websocket. */
function refusal(port: number, path: string, headers: Record<string, string> = {}) {
  const websocket = new WebSocket(`ws://localhost:${port}${path}`, { headers });
  return new Promise<{ status: number | undefined; body: unknown }>((resolve, reject) => {
    websocket.once('open', () => reject(new Error('it was not refused')));
    websocket.once('error', reject);
    websocket.once('unexpected-response', async (_, response) => {
      const chunks = await response.toArray();
      resolve({ status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString()) });
    });
  });
}

describe('the websocket', () => {
  const gateway = useGateway(testRedis, { ONCEBOX_QUEUE_MAX: '2', ONCEBOX_STREAMS_MAX: '3' });

  test.each(['/api/v2/connect', '/api/v2/piston/connect'])(
    'of %s tells a job from its stage to its end',
    async (path) => {
      await gateway.startWorker(async (job) => {
        const said = [
          { type: 'started' as const, id: job.id ?? '', start: 'warm' as const },
          { type: 'stdout' as const, text: 'é\n' },
          { type: 'stderr' as const, text: 'e' },
        ];
        await appendEvents(testRedis.redis, {
          ...{ id: job.id ?? '', tenant: job.data.tenant, keepMs: 60_000 },
          events: said,
        });
        expect(job.data).toMatchObject({ interactive: true, stdin: '', limits: { wallMs: 3000 } });
        return finished(job, { outcome: { status: 'exited', exitCode: 3 }, stdout: 'é\n', stderr: 'e' });
      });
      const { say, end } = await connectPiston(await serve(gateway), path);
      say({ ...init, stdin: 'is not looked at' });
      expect(await end()).toEqual({
        messages: [
          { type: 'runtime', language: 'bash', version: expect.stringMatching(/^5\./) },
          { type: 'stage', stage: 'run' },
          { type: 'data', stream: 'stdout', data: 'é\n' },
          { type: 'data', stream: 'stderr', data: 'e' },
          { type: 'exit', stage: 'run', code: 3, signal: null },
        ],
        ...{ code: 4999, reason: 'Job Completed' },
      });
    },
  );

  test.each<[string, unknown[], number, string]>([
    ['initialises twice', [init, init], 4000, 'Already Initialized'],
    ['says nothing for a second', [], 4001, 'Initialization Timeout'],
    ['sends data before', [{ type: 'data', stream: 'stdin', data: '' }], 4003, 'Not yet initialized'],
    ['sends a signal before', [{ type: 'signal', signal: 'SIGINT' }], 4003, 'Not yet initialized'],
    [
      'writes to another stream',
      [init, { type: 'data', stream: 'stdout', data: '' }],
      4004,
      'Can only write to stdin',
    ],
    ['sends what is no signal', [init, { type: 'signal', signal: 'toString' }], 4005, 'Invalid signal'],
  ])('closes on a client that %s, and its job is cancelled', async (_, said, code, reason) => {
    let taken = 0;
    let cancelled = 0;
    await gateway.startWorker(async (job, signal) => {
      taken += 1;
      const record = await untilCancelled(job, signal);
      cancelled += 1;
      return record;
    });
    const { say, end } = await connectPiston(await serve(gateway));
    for (const message of said) {
      say(message);
      if (message === init) await expect.poll(() => taken, patience).toBe(1);
    }
    expect(await end()).toMatchObject({ code, reason });
    await expect.poll(() => cancelled, patience).toBe(said.includes(init) ? 1 : 0);
    expect(taken).toBe(cancelled);
  });

  test('no time counts against a client in which the gateway itself stands still', async () => {
    const { messages, say } = await connectPiston(await serve(gateway));
    for (const began = performance.now(); performance.now() - began < 1_500; );
    say(init);
    await expect.poll(() => messages, patience).toMatchObject([{ type: 'runtime', language: 'bash' }]);
  });

  test.each<[string, unknown, string]>([
    ['is no JSON', '{', 'the body is not JSON'],
    ['is no object', 'null', 'a message must be a JSON object'],
    ['has nothing to run', { type: 'init' }, 'language is required as a string'],
    ['asks for what there is not', { ...init, language: 'klingon' }, 'klingon-* runtime is unknown'],
    ['nests too deep', '['.repeat(1000), 'the body nests deeper than 100 levels'],
  ])('says what is wrong with a message that %s, and closes', async (_, message, why) => {
    const { say, end } = await connectPiston(await serve(gateway));
    say(message);
    expect(await end()).toEqual({
      messages: [{ type: 'error', message: expect.stringContaining(why) }],
      ...{ code: 4002, reason: 'Notified Error' },
    });
  });

  test('says once what is wrong, whatever was sent behind it', async () => {
    const { say, end } = await connectPiston(await serve(gateway));
    say({ ...init, language: 'klingon' });
    for (const data of ['a', 'b']) say({ type: 'data', stream: 'stdin', data });
    say({ type: 'signal', signal: 'SIGINT' });
    expect(await end()).toEqual({
      messages: [{ type: 'error', message: 'klingon-* runtime is unknown' }],
      ...{ code: 4002, reason: 'Notified Error' },
    });
  });

  test('a message that is too large closes it', async () => {
    const { say, end } = await connectPiston(await serve(gateway));
    say({ ...init, files: [{ content: 'x'.repeat(70_000) }] });
    expect((await end()).code).toBe(1009);
  });

  test('a full queue is told', async () => {
    const port = await serve(gateway);
    for (const _ of [1, 2]) (await connectPiston(port)).say(init);
    await expect.poll(() => gateway.queue.waiting(), patience).toBe(2);
    const { say, end } = await connectPiston(port);
    say(init);
    expect(await end()).toMatchObject({
      messages: [{ type: 'error', message: 'cannot enqueue: 2 invocations are waiting' }],
      code: 4002,
    });
  });

  test('a tenant has so many open as it may', async () => {
    let taken = 0;
    await gateway.startWorker((job, signal) => {
      taken += 1;
      return untilCancelled(job, signal);
    });
    const port = await serve(gateway);
    for (let n = 1; n <= 3; n++) {
      (await connectPiston(port)).say(init);
      // From then on it stays open for as long as its program runs.
      await expect.poll(() => taken, patience).toBe(n);
    }
    expect(await refusal(port, '/api/v2/connect')).toMatchObject({ status: 429 });
  });

  test('a client that goes takes its job along, even where that waits', async () => {
    const { websocket, say } = await connectPiston(await serve(gateway));
    say(init);
    await expect.poll(() => gateway.queue.waiting(), patience).toBe(1);
    websocket.terminate();
    await expect.poll(() => gateway.queue.waiting(), patience).toBe(0);
  });

  test('is no way around what holds for all requests', async () => {
    const port = await serve(gateway);
    expect(await refusal(port, '/api/v2/connect', { origin: 'https://evil.example' })).toEqual({
      status: 403,
      body: { message: expect.stringContaining('pages of another origin') },
    });
    expect(await refusal(port, '/api/v2/connect', { host: 'evil.example' })).toMatchObject({ status: 403 });
    expect(await refusal(port, '/api/v2/none')).toEqual({ status: 404, body: { message: 'Not Found' } });
    expect(await refusal(port, '/v1/run')).toMatchObject({ status: 405 });
  });

  test('a handshake that is none is a 400, and the gateway goes on', async () => {
    const port = await serve(gateway);
    const head = 'Host: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n';
    const text = await exchange(port, `GET /api/v2/connect HTTP/1.1\r\n${head}\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    // Behind a request that is not answered yet.
    const pipelined = `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/v2/connect HTTP/1.1\r\n${head}\r\n`;
    await exchange(port, pipelined);
    expect((await fetch(`http://localhost:${port}/healthz`)).status).toBe(200);
  });

  test('an offer of another protocol is ignored, and the request answered', async () => {
    const port = await serve(gateway);
    const body = JSON.stringify({ language: 'klingon', version: '*', files: [] });
    const request = [
      'POST /api/v2/execute HTTP/1.1',
      'Host: localhost',
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    ].join('\r\n');
    const socket = await opened(port);
    socket.write(`${request}\r\n\r\n${body}`);
    let text = '';
    for await (const chunk of socket) {
      text += chunk;
      // The connection stays.
      if (text.endsWith('}')) break;
    }
    expect(repliesIn(text)).toMatchObject([
      { status: 400, body: '{"message":"klingon-* runtime is unknown"}' },
    ]);
  });
});

describe('where keys are asked for', () => {
  const adminKey = `ocb_admin_${'a'.repeat(64)}`;
  const withKeys = useGateway(testRedis, { ONCEBOX_AUTH: 'required', ONCEBOX_ADMIN_KEY: adminKey });
  const ask = (path: string, key: string, init: RequestInit = {}) =>
    withKeys.app.request(path, {
      ...init,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    });

  test('nothing is had without one, and what it needs is its scope', async () => {
    const port = await serve(withKeys);
    expect(await refusal(port, '/api/v2/connect')).toEqual({
      status: 401,
      body: { message: expect.stringContaining('asks for a key') },
    });
    const response = await withKeys.app.request('/api/v2/runtimes');
    expect(response.status).toBe(401);
    expect(await response.json()).toEqual({ message: expect.stringContaining('asks for a key') });
    const made = await withKeys.postJson(
      '/v1/keys',
      { name: 'reader', scopes: ['read'] },
      { headers: { authorization: `Bearer ${adminKey}` } },
    );
    const { key } = (await made.json()) as { key: string };
    expect((await ask('/api/v2/packages', key)).status).toBe(200);
    for (const path of ['/api/v2/execute', '/api/v2/packages'])
      expect((await ask(path, key, { method: 'POST', body: '{}' })).status, path).toBe(403);
    expect(await refusal(port, '/api/v2/connect', { 'x-api-key': key })).toEqual({
      status: 403,
      body: { message: 'this needs a key with the scope "invoke"' },
    });
    for (const authorization of [adminKey, `Bearer ${adminKey}`]) {
      const headers = { authorization };
      expect((await withKeys.app.request('/api/v2/runtimes', { headers })).status).toBe(200);
    }
  });
});
