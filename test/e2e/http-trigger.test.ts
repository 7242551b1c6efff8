import { expect, test, vi } from 'vitest';
import type { Limits } from '../../sdk/contract/limits.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();
const patience = { timeout: 60_000, interval: 25 };
/** For what is ended by its client. */
const endless = { wallMs: 600_000 };

async function deploy(
  runtime: 'node' | 'python',
  handler: string,
  content: string,
  limits: Partial<Limits> = {},
): Promise<string> {
  const path = runtime === 'node' ? 'index.mjs' : 'main.py';
  await running.client.deploy('web', { runtime, handler, files: [{ path, content }], limits });
  return `${running.platform.url}/fn/web`;
}

const wsgi = `
import json
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("201 Created", [("content-type", "application/json"), ("set-cookie", "a=1"), ("set-cookie", "b=2")])
    return [json.dumps({
        "method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"], "query": environ["QUERY_STRING"],
        "own": environ.get("HTTP_X_OWN"), "body": body.decode(), "prefix": environ["SCRIPT_NAME"],
    }).encode()]
`;
const request = `
import json
from oncebox import Response
def handler(request):
    body = {"method": request.method, "path": request.path, "query": "q=" + request.query["q"],
            "own": request.headers.get("x-own"), "body": request.text, "prefix": request.headers["x-forwarded-prefix"]}
    return Response(json.dumps(body), 201, [("content-type", "application/json"), ("set-cookie", "a=1"), ("set-cookie", "b=2")])
`;
const answer = `async (request) => {
  const url = new URL(request.url);
  const body = { method: request.method, path: url.pathname, query: url.search.slice(1),
    own: request.headers.get('x-own'), body: await request.text(), prefix: request.headers.get('x-forwarded-prefix') };
  const headers = new Headers({ 'content-type': 'application/json' });
  headers.append('set-cookie', 'a=1');
  headers.append('set-cookie', 'b=2');
  return new Response(JSON.stringify(body), { status: 201, headers });
}`;

test.each([
  ['node', 'index.default', `export default { fetch: ${answer} }`],
  ['node', 'index.default', `export default ${answer}`],
  ['node', 'index.fetch', `export const fetch = ${answer}`],
  ['python', 'main.app', wsgi],
  ['python', 'main.handler', request],
] as const)('%s %s: request and response pass through', async (runtime, handler, content) => {
  const url = await deploy(runtime, handler, content);
  const response = await fetch(`${url}/a%20b/c?q=1`, {
    method: 'PUT',
    headers: { 'x-own': 'mine', 'content-type': 'text/plain' },
    body: 'é',
  });
  expect(response.status).toBe(201);
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  expect(response.headers.get('oncebox-invocation-id')).toMatch(/^inv_/);
  const path = runtime === 'python' && handler === 'main.app' ? '/a b/c' : '/a%20b/c';
  expect(await response.json()).toEqual({
    ...{ method: 'PUT', path, query: 'q=1', own: 'mine', body: 'é', prefix: '/fn/web' },
  });
});

test('a function that knows events only has the request as one, and its result is the body', async () => {
  const url = await deploy(
    'node',
    'index.handler',
    'export const handler = ({ method, path, query, body }) => ({ method, path, query, body })',
  );
  const response = await fetch(`${url}?a=1`, { method: 'POST', body: 'x' });
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(await response.json()).toEqual({ method: 'POST', path: '/', query: { a: '1' }, body: 'x' });
});

test('a function that speaks HTTP can be invoked with an event, too', async () => {
  await deploy(
    'node',
    'index.default',
    'export default { fetch: async (r) => Response.json(await r.json()) }',
  );
  const { result } = await running.client.invoke('web', { a: 1 });
  expect(result).toMatchObject({ status: 200, body: '{"a":1}' });
  await deploy('python', 'main.handler', 'def handler(request):\n  return request.json()');
  expect((await running.client.invoke('web', { a: 1 })).result).toMatchObject({
    status: 200,
    body: '{"a": 1}',
  });
});

test.each([
  ['node', 'index.default', 'export default { fetch: () => new Response(new Uint8Array([0, 255, 254])) }'],
  [
    'python',
    'main.handler',
    'from oncebox import Response\ndef handler(request):\n  return Response(b"\\x00\\xff\\xfe")',
  ],
] as const)('bytes are bytes: %s', async (runtime, handler, content) => {
  const response = await fetch(await deploy(runtime, handler, content));
  expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([0, 255, 254]);
});

test.each([
  [
    'node',
    'index.default',
    `export default { fetch() {
       const wait = () => new Promise((done) => setTimeout(done, 500_000));
       const body = async function* () { yield 'data: 1\\n\\n'; await wait(); yield 'data: 2\\n\\n' };
       const encode = new TextEncoderStream();
       return new Response(ReadableStream.from(body()).pipeThrough(encode), { headers: { 'content-type': 'text/event-stream' } }) } }`,
  ],
  [
    'python',
    'main.app',
    `import time
def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/event-stream")])
    yield b"data: 1\\n\\n"
    time.sleep(500)
    yield b"data: 2\\n\\n"`,
  ],
] as const)('a body that takes its time is sent as it comes: %s', async (runtime, handler, content) => {
  const url = await deploy(runtime, handler, content, endless);
  const response = await fetch(url, { headers: { accept: 'text/event-stream' } });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const reader = response.body?.getReader();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: 1\n\n');
  // The rest of it is still to come.
  const id = response.headers.get('oncebox-invocation-id') ?? '';
  expect((await running.client.invocation(id)).status).toBe('running');
  await reader?.cancel();
});

test('a body of megabytes goes both ways', async () => {
  const url = await deploy(
    'node',
    'index.default',
    'export default { fetch: async (r) => new Response(await r.arrayBuffer()) }',
  );
  const sent = Buffer.alloc(5 * 1024 * 1024, 'oncebox');
  const response = await fetch(url, { method: 'POST', body: sent });
  expect(Buffer.from(await response.arrayBuffer()).equals(sent)).toBe(true);
  const tooLarge = await fetch(url, { method: 'POST', body: Buffer.alloc(6 * 1024 * 1024 + 1) });
  expect(tooLarge.status).toBe(413);
});

test('headers that are about the connection, and keys of the platform, stay here', async () => {
  const url = await deploy(
    'node',
    'index.default',
    `export default { fetch: (r) => Response.json([...r.headers.keys()], { headers: { 'oncebox-start': 'mine', 'keep-alive': 'x' } }) }`,
  );
  const response = await fetch(url, {
    headers: {
      authorization: 'Bearer ocb_id_secret',
      'x-api-key': 'ocb_id_secret',
      'x-forwarded-prefix': '/evil',
    },
  });
  const names = (await response.json()) as string[];
  for (const name of ['authorization', 'x-api-key', 'connection', 'keep-alive'])
    expect(names).not.toContain(name);
  expect(response.headers.get('oncebox-start')).toMatch(/^(warm|fork|cold)$/);
  const own = await fetch(url, { headers: { authorization: 'Bearer of-the-function' } });
  expect(await own.json()).toContain('authorization');
});

test('HEAD has no body, 204 neither, and a redirect is the client’s business', async () => {
  const url = await deploy(
    'node',
    'index.default',
    `export default { fetch: (r) => new URL(r.url).pathname === '/no' ? new Response(null, { status: 204 })
       : new URL(r.url).pathname === '/go' ? Response.redirect('http://elsewhere.test/', 302) : new Response('text') }`,
  );
  const head = await fetch(url, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
  expect((await fetch(`${url}/no`)).status).toBe(204);
  const redirect = await fetch(`${url}/go`, { redirect: 'manual' });
  expect([redirect.status, redirect.headers.get('location')]).toEqual([302, 'http://elsewhere.test/']);
});

test('what fails is an error body with the code of the outcome', async () => {
  const url = await deploy(
    'node',
    'index.default',
    'export default { fetch: () => { throw new Error("no") } }',
  );
  const response = await fetch(url);
  expect(response.status).toBe(500);
  expect(await response.json()).toMatchObject({ error: { code: 'function_error', message: 'Error: no' } });
  expect((await fetch(`${running.platform.url}/fn/unknown/x`)).status).toBe(404);
});

test('a response that is none is the function’s error', async () => {
  const url = await deploy(
    'node',
    'index.default',
    'export default { fetch: () => ({ status: 999, headers: new Map([["a b", "c"]]), body: null }) }',
  );
  const response = await fetch(url);
  expect(response.status).toBe(500);
  expect(await response.json()).toMatchObject({ error: { code: 'function_error' } });
});

test('a client that leaves has its invocation cancelled, and its sandbox gone', async () => {
  const url = await deploy(
    'node',
    'index.default',
    'export default { fetch: () => new Promise(() => setInterval(() => {}, 1000)) }',
    endless,
  );
  const hangUp = new AbortController();
  const busy = async () => {
    const { sandboxes, silentNodes } = await running.client.sandboxes();
    expect(silentNodes).toEqual([]);
    return sandboxes.flatMap(({ invocationId = [] }) => invocationId);
  };
  // Those of the clients before have left, too.
  await vi.waitFor(async () => expect(await busy()).toEqual([]), patience);
  const asked = fetch(url, { signal: hangUp.signal }).catch(() => {});
  const id = await vi.waitFor(async () => {
    const ids = await busy();
    expect(ids).toHaveLength(1);
    return ids[0] ?? '';
  }, patience);
  hangUp.abort();
  await asked;
  await vi.waitFor(async () => {
    expect((await running.client.invocation(id)).outcome).toEqual({ status: 'cancelled' });
    expect(await busy()).toEqual([]);
  }, patience);
});
