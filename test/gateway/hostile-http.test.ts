import { once } from 'node:events';
import type { Socket } from 'node:net';
import { beforeEach, expect, test } from 'vitest';
import { errorBodySchema } from '../../sdk/contract/error.ts';
import { type GatewayServer, type ListenOptions, listen } from '../../services/gateway/server.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { exchange, opened, repliesIn, statuses } from '../support/raw-http.ts';
import { useRedis } from '../support/redis.ts';

/** Clients that do not speak HTTP as they should. Each test has a control: the same with one thing put right. */
const gateway = useGateway(useRedis());
let server: GatewayServer;

beforeEach(() => serve({ connections: 20 }));

async function serve(bounds: NonNullable<ListenOptions['bounds']>) {
  const serving = await listen(gateway.app, { host: '127.0.0.1', port: 0, bounds });
  gateway.undo.push(() => serving.close(0));
  server = serving;
}
/** For what is slow on purpose: who is held up by the machine, and not by that, has time enough. */
const short = { headersMs: 1_500, stallMs: 1_500, bodyMs: 3_000 };

const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

const get = (path: string, ...headers: string[]) =>
  `${['GET'].concat(path, 'HTTP/1.1').join(' ')}\r\n${['Host: localhost', ...headers, 'Connection: close'].join('\r\n')}\r\n\r\n`;
const post = (body: string, ...headers: string[]) =>
  `POST /v1/run HTTP/1.1\r\n${['Host: localhost', 'Content-Type: application/json', ...headers].join('\r\n')}\r\n\r\n${body}`;
const healthy = async () => (await fetch(`http://127.0.0.1:${server.port}/healthz`)).status;
/** Refused by the schema, so nothing is enqueued: an answer of the route itself. */
const body = '{}';
const whole = `Content-Length: ${body.length}`;

test('a request as it should be is answered by its route', async () => {
  expect(await statuses(server.port, get('/healthz'))).toEqual([200]);
  const [reply] = repliesIn(await exchange(server.port, post(body, whole, 'Connection: close')));
  expect([reply?.status, errorBodySchema.parse(JSON.parse(reply?.body ?? '')).error.field]).toEqual([
    400,
    'runtime',
  ]);
});

test.each([
  ['a Content-Length and a Transfer-Encoding', post(body, whole, 'Transfer-Encoding: chunked')],
  ['two Content-Lengths that differ', post(body, whole, 'Content-Length: 3')],
  ['two Content-Lengths that agree', post(body, whole, whole)],
  ['a Content-Length list', post(body, 'Content-Length: 2, 2')],
  ['a negative Content-Length', post(body, 'Content-Length: -1')],
  ['a Content-Length with a sign', post(body, 'Content-Length: +2')],
  ['a hexadecimal Content-Length', post(body, 'Content-Length: 0x2')],
  ['a Content-Length beyond 2^64', post(body, 'Content-Length: 18446744073709551618')],
  ['an unknown Transfer-Encoding', post('2\r\n{}\r\n0\r\n\r\n', 'Transfer-Encoding: xchunked')],
  [
    'chunked that is not the last coding',
    post('2\r\n{}\r\n0\r\n\r\n', 'Transfer-Encoding: chunked, identity'),
  ],
  ['a space before the colon', post(body, `Content-Length : 2`)],
  ['a folded header', post(body, whole, 'X-A: b\r\n c')],
  ['a bare carriage return in a header', post(body, whole, 'X-A: b\rc')],
  ['a NUL in a header', post(body, whole, 'X-A: b\0c')],
  ['a chunk size that is no number', post('zz\r\n{}\r\n0\r\n\r\n', 'Transfer-Encoding: chunked')],
  ['a chunk size beyond 2^64', post('fffffffffffffffff\r\n{}\r\n', 'Transfer-Encoding: chunked')],
  ['a chunk longer than it says', post('1\r\n{}\r\n0\r\n\r\n', 'Transfer-Encoding: chunked')],
  ['two Hosts', get('/healthz', 'Host: b')],
  ['a method that is none', 'BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['a lower-case method', 'get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['a path with a space', 'GET /health z HTTP/1.1\r\nHost: localhost\r\n\r\n'],
])('%s is a 400 of the common form, and what follows it is not read as a request', async (_, bytes) => {
  const text = await exchange(server.port, bytes + get('/healthz?smuggled'));
  const replies = repliesIn(text);
  expect(replies.map(({ status }) => status)).toEqual([400]);
  expect(errorBodySchema.parse(JSON.parse(replies[0]?.body ?? '')).error.code).toBe('invalid_request');
  expect(await healthy()).toBe(200);
});

test.each([
  ['no Host', 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ['a Host that is none', get('/healthz').replace('Host: localhost', 'Host: localhost b/c?d')],
  ['a scheme that is not ours', get('ftp://a/healthz')],
])('%s is a 400 of the common form', async (_, bytes) => {
  const [reply, ...more] = repliesIn(await exchange(server.port, bytes));
  expect([reply?.status, more]).toEqual([400, []]);
  expect(errorBodySchema.parse(JSON.parse(reply?.body ?? '')).error.code).toBe('invalid_request');
});

test('a body is as long as it says: what is beyond is the next request, what is missing is waited for', async () => {
  const two = await statuses(server.port, post(body, whole) + get('/healthz'));
  expect(two).toEqual([400, 200]);
  const chunked = post('1\r\n{\r\n1;x=y\r\n}\r\n0\r\nx-trailer: 1\r\n\r\n', 'Transfer-Encoding: chunked');
  expect(await statuses(server.port, chunked + get('/healthz'))).toEqual([400, 200]);
  await serve(short);
  const [late] = repliesIn(await exchange(server.port, post(body, 'Content-Length: 9')));
  expect(late?.status).toBe(408);
});

test('a request in absolute form is answered, and no other host is asked', async () => {
  expect(await statuses(server.port, get('http://127.0.0.1:1/healthz'))).toEqual([200]);
  expect(await statuses(server.port, 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n')).toEqual([]);
  expect(await healthy()).toBe(200);
});

test.each([
  ['path', get(`/v1/functions/${'a'.repeat(20_000)}`)],
  ['header', get('/healthz', `X-A: ${'a'.repeat(20_000)}`)],
  ['number of headers', get('/healthz', ...Array.from({ length: 3_000 }, (_, i) => `X-${i}: 1`))],
])('a huge %s is a 431', async (_, bytes) => {
  const [reply, ...more] = repliesIn(await exchange(server.port, bytes));
  expect([reply?.status, more]).toEqual([431, []]);
  expect(errorBodySchema.parse(JSON.parse(reply?.body ?? '')).error.code).toBe('headers_too_large');
  expect(await statuses(server.port, get('/healthz', `X-A: ${'a'.repeat(8_000)}`))).toEqual([200]);
});

test.each(['TRACE', 'PATCH', 'OPTIONS', 'PROPFIND'])(
  '%s is a 405 that says what is allowed',
  async (method) => {
    const bytes = get('/healthz').replace('GET', method);
    const [reply] = repliesIn(await exchange(server.port, bytes));
    expect([reply?.status, reply?.headers.allow]).toEqual([405, 'GET']);
  },
);

test('who sends the headers slowly gets a 408, while others get on', async () => {
  await serve(short);
  const slow = exchange(server.port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n');
  expect(await healthy()).toBe(200);
  const [reply] = repliesIn(await slow);
  expect(reply?.status).toBe(408);
  expect(errorBodySchema.parse(JSON.parse(reply?.body ?? '')).error.code).toBe('request_timeout');
});

test('a body that stands still is a 408, and one that trickles is cut off in the end, while others get on', async () => {
  await serve(short);
  const still = exchange(server.port, post('{', 'Content-Length: 100'));
  const trickling = await opened(server.port);
  const cut = closed(trickling);
  let answer = '';
  trickling.on('data', (chunk) => {
    answer += chunk;
  });
  trickling.write(post('{', 'Content-Length: 1000'));
  const drip = setInterval(() => trickling.write(' '), 50);
  trickling.on('error', () => {});
  expect(await healthy()).toBe(200);
  expect(repliesIn(await still)[0]?.status).toBe(408);
  await cut;
  clearInterval(drip);
  expect(repliesIn(answer)[0]?.status).toBe(408);
});

test('a body that stands still behind a request without an answer ends the connection, and is not its answer', async () => {
  await serve(short);
  const first = JSON.stringify({ runtime: 'node', code: '' });
  const waiting = post(first, `Content-Length: ${first.length}`);
  // Nobody runs it, so its answer is still to come when the second one's body is late.
  const text = await exchange(server.port, waiting + post('{', 'Content-Length: 100'));
  expect(repliesIn(text)).toEqual([]);
  // Control: behind one that is answered it is a 408 of its own.
  const answered = post(body, whole) + post('{', 'Content-Length: 100');
  const replies = repliesIn(await exchange(server.port, answered));
  expect(replies.map(({ status }) => status)).toEqual([400, 408]);
  expect(await healthy()).toBe(200);
});

test('a body that comes in time is taken, however many pieces it has', async () => {
  const socket = await opened(server.port);
  const answered = once(socket, 'data');
  socket.write(post('', whole));
  socket.write('{');
  socket.write('}');
  expect(repliesIn(String((await answered)[0]))[0]?.status).toBe(400);
  socket.destroy();
});

test('idle connections make room for those who ask for something', async () => {
  const idle = await Promise.all(Array.from({ length: 20 }, () => opened(server.port)));
  for (const socket of idle) {
    socket.on('error', () => {});
    socket.write(get('/healthz').replace('close', 'keep-alive'));
  }
  await Promise.all(idle.map((socket) => once(socket, 'data')));
  const isRoom = Promise.race(idle.map(closed));
  // The first finds no place and makes one.
  await opened(server.port).catch(() => {});
  await isRoom;
  expect(await healthy()).toBe(200);
  for (const socket of idle) socket.destroy();
});

test('a flood of pipelined requests is answered one by one', async () => {
  const before = get('/healthz').replace('close', 'keep-alive').repeat(999);
  const text = await exchange(server.port, before + get('/healthz'));
  expect(text.match(/HTTP\/1\.1 200/g)?.length).toBe(1_000);
});

test('line ends in what a client sends come back in no header', async () => {
  await gateway.startWorker(async (job) =>
    finished(job, { outcome: { status: 'ok', result: 'a\r\nset-cookie: b' } }),
  );
  const injected = encodeURIComponent('a\r\nset-cookie: b');
  for (const path of [`/v1/functions/${injected}`, `/v1/invocations/${injected}`, `/${injected}`]) {
    const [reply] = repliesIn(await exchange(server.port, get(path)));
    expect(reply?.status, path).toBe(404);
    expect(reply?.headers, path).not.toHaveProperty('set-cookie');
  }
  const code = '{"runtime":"bash","code":""}';
  const headers = [`Content-Length: ${code.length}`, 'Prefer: wait=1;a="b"', 'Connection: close'];
  const [ran] = repliesIn(await exchange(server.port, post(code, ...headers)));
  expect(ran?.status).toBe(200);
  expect(ran?.headers).not.toHaveProperty('set-cookie');
});
