import { expect, test } from 'vitest';
import { createClient, isOnceboxError, OnceboxError } from '../../sdk/index.ts';
import { retryAfterMs } from '../../sdk/retry.ts';
import { useScriptedServer } from './use-scripted-server.ts';

const server = useScriptedServer();
const quickly = { backoffMs: 1 };
const client = (options = {}) => createClient(server.url, { retries: quickly, ...options });

const refusal = (code: string, status: number, headers = {}) => ({
  status,
  headers,
  body: { error: { code, message: `it is ${code}` } },
});
const record = {
  id: 'inv_1',
  status: 'done',
  stdout: '',
  stderr: '',
  stdoutTruncated: false,
  stderrTruncated: false,
};
const ok = { status: 200, body: record };
const request = { runtime: 'node', code: '' } as const;

test('a call that is refused for the moment is made again, no sooner than the platform asks', async () => {
  server.answer(refusal('queue_full', 429, { 'retry-after': '1' }), ok);
  expect((await client().run(request)).id).toBe('inv_1');
  const [first, second, ...more] = server.seen.map(({ atMs }) => atMs);
  expect(more).toEqual([]);
  // Timers count whole milliseconds.
  expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(999);
});

test('every attempt of a call has the same idempotency key, and every call one of its own', async () => {
  server.answer('cut', refusal('unavailable', 503), ok);
  await client().runAsync(request);
  await client().invokeAsync('hello');
  const keys = server.seen.map(({ headers }) => headers['idempotency-key']);
  expect(keys.slice(0, 3)).toEqual(Array(3).fill(keys[0]));
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(keys).size).toBe(2);
});

test("the caller's own key goes along; without one hanging up cancels what is waited for", async () => {
  server.answer(ok);
  await client().run(request, { idempotencyKey: 'order-7' });
  await client().run(request);
  await client().invoke('hello');
  await client().runAsync(request, { idempotencyKey: null });
  const keys = server.seen.map(({ headers }) => headers['idempotency-key']);
  expect(keys).toEqual(['order-7', undefined, undefined, undefined]);
});

test.each(['invocation', 'cancel'] as const)('%s is made again when its connection fails', async (name) => {
  server.answer('cut', 'cut', ok);
  expect((await client()[name]('inv_1')).id).toBe('inv_1');
  expect(server.seen).toHaveLength(3);
});

test('what could be done twice is not made again when its connection fails, nor when the platform failed', async () => {
  server.answer('cut');
  await expect(client().pruneImages()).rejects.toThrow(TypeError);
  await expect(client().run(request, { idempotencyKey: null })).rejects.toThrow(TypeError);
  server.answer(refusal('unavailable', 503));
  await expect(client().pruneImages()).rejects.toThrow('it is unavailable');
  expect(server.seen).toHaveLength(3);
});

test('a refusal is no doing, so it is asked again whatever it was', async () => {
  server.answer(refusal('rate_limited', 429), {
    status: 200,
    body: { images: [], layers: [], blobs: [], freedBytes: 7 },
  });
  expect((await client().pruneImages()).freedBytes).toBe(7);
});

test.each([
  ['timeout', 504],
  ['lost', 502],
  ['internal', 500],
  ['invalid_request', 400],
])('%s is final', async (code, status) => {
  server.answer(refusal(code, status));
  await expect(client().run(request)).rejects.toThrow(`it is ${code}`);
  expect(server.seen).toHaveLength(1);
});

test('the number of attempts is bounded', async () => {
  server.answer(refusal('queue_full', 429));
  await expect(client({ retries: { ...quickly, count: 2 } }).run(request)).rejects.toThrow(
    'it is queue_full',
  );
  expect(server.seen).toHaveLength(3);
  await expect(client({ retries: 0 }).run(request)).rejects.toThrow('it is queue_full');
  expect(server.seen).toHaveLength(4);
});

test('who would have to wait for too long is told at once, and how long it is', async () => {
  server.answer(refusal('queue_full', 429, { 'retry-after': '3600' }));
  const error = await client()
    .run(request)
    .catch((reason: unknown) => reason);
  if (!isOnceboxError(error, 'queue_full')) throw error;
  expect(error.retryAfterMs).toBe(3_600_000);
  expect(server.seen).toHaveLength(1);
});

test('aborting ends the pause between two attempts', async () => {
  const abort = new AbortController();
  server.answer(refusal('queue_full', 429, { 'retry-after': '3000' }));
  const fetch = async (url: string, init: RequestInit) => {
    const reply = await globalThis.fetch(url, init);
    setTimeout(() => abort.abort(new Error('enough')), 100);
    return reply;
  };
  const retries = { ...quickly, withinMs: 3_600_000 };
  // A test does not last as long as the pause would.
  await expect(client({ fetch, retries }).run(request, { signal: abort.signal })).rejects.toThrow('enough');
  expect(server.seen).toHaveLength(1);
});

test('who gives up before anything is sent sends nothing', async () => {
  await expect(client().run(request, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
    'enough',
  );
  expect(server.seen).toEqual([]);
});

test('an upload that can be sent again is, and a stream is not', async () => {
  const bytes = new Uint8Array(100_000).fill(7);
  const image = { status: 200, body: '' };
  server.answer(refusal('queue_full', 429), image);
  // The end of the events, without `done`: as far as this test goes.
  await expect(client().importImage(bytes)).rejects.toThrow('not finished');
  expect(server.seen.map(({ body }) => body.length)).toEqual([100_000, 100_000]);
  server.answer(refusal('queue_full', 429));
  await expect(client().importImage(new Blob([bytes]).stream())).rejects.toThrow('it is queue_full');
  expect(server.seen).toHaveLength(3);
});

test("what stands between is taken for what it is: a proxy's complaint passes, and has no code", async () => {
  const page = { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad Gateway</h1>' };
  server.answer(page, ok);
  await client().runAsync(request);
  expect(server.seen).toHaveLength(2);
  server.answer(page);
  const error = await client()
    .run(request)
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({ status: 502, code: undefined, message: 'HTTP 502' });
});

test('a code of a newer platform is none, and its message is kept', async () => {
  server.answer(refusal('moon_in_the_wrong_house', 409));
  const error = await client()
    .run(request)
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({ status: 409, code: undefined, message: 'it is moon_in_the_wrong_house' });
});

test('a reply that is not oncebox is an error that says which', async () => {
  server.answer({ status: 200, body: '<h1>Sign in to the wireless network</h1>' });
  const error = await client()
    .invocation('inv_1')
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    name: 'OnceboxError',
    message: expect.stringContaining('GET /v1/invocations/inv_1'),
  });
});

test('an error says how the handler ended', async () => {
  const outcome = { status: 'timeout', limit: 'wall', ms: 1000, usedMs: 1003 };
  const body = { error: { code: 'timeout', message: 'too long', invocationId: 'inv_2', outcome } };
  server.answer({ status: 504, body });
  const error = await client()
    .invoke('slow')
    .catch((reason: unknown) => reason);
  if (!isOnceboxError(error, 'timeout')) throw error;
  expect(error.outcome).toEqual(outcome);
  expect(error.invocationId).toBe('inv_2');
});

test('errors of another copy of the package are known too, and nothing else is', async () => {
  // @ts-expect-error: the compiler does not know that a query makes a module of its own
  const copy = await import('../../sdk/oncebox-error.ts?copy');
  const error: unknown = new copy.OnceboxError(429, { code: 'queue_full' });
  expect(error).not.toBeInstanceOf(OnceboxError);
  expect(isOnceboxError(error)).toBe(true);
  expect(isOnceboxError(error, 'timeout', 'queue_full')).toBe(true);
  expect(isOnceboxError(error, 'timeout')).toBe(false);
  for (const other of [undefined, null, 'queue_full', new Error(), { code: 'queue_full' }])
    expect(isOnceboxError(other)).toBe(false);
});

test('key, headers and options go along', async () => {
  server.answer(ok);
  const options = { priority: 'high', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` } as const;
  await client({ apiKey: 'ocb_1_x', headers: { 'x-proxy': 'yes' } }).runAsync(request, {
    ...options,
    callback: 'https://example.org/done',
  });
  expect(server.seen[0]?.headers).toMatchObject({
    authorization: 'Bearer ocb_1_x',
    prefer: 'respond-async',
    traceparent: options.traceparent,
    'content-type': 'application/json',
    'oncebox-callback': 'https://example.org/done',
    'oncebox-priority': 'high',
    'x-proxy': 'yes',
  });
});

test('what cannot be sent is refused before it is sent', async () => {
  await expect(client({ apiKey: 'line\nbreak' }).nodes()).rejects.toThrow(TypeError);
  expect(() => client({ retries: -1 })).toThrow(/count/);
  expect(() => client({ retries: { withinMs: Number.NaN } })).toThrow(/withinMs/);
  expect(server.seen).toEqual([]);
});

test('waiting looks at the record until it is finished, and can be given up', async () => {
  server.answer({ status: 200, body: { ...record, status: 'queued' } }, refusal('unavailable', 503), ok);
  expect((await client().wait('inv_1')).status).toBe('done');
  expect(server.seen).toHaveLength(3);
  server.answer({ status: 200, body: { ...record, status: 'running' } });
  const signal = AbortSignal.timeout(100);
  await expect(client().wait('inv_1', { signal })).rejects.toThrow('timeout');
});

test('Retry-After is read in both of its forms', () => {
  expect(retryAfterMs('120')).toBe(120_000);
  expect(retryAfterMs(' 0 ')).toBe(0);
  const inAMinute = new Date(Date.now() + 60_000).toUTCString();
  const beforeMs = Date.now();
  const leftMs = retryAfterMs(inAMinute);
  expect(leftMs).toBeLessThanOrEqual(Date.parse(inAMinute) - beforeMs);
  expect(leftMs).toBeGreaterThanOrEqual(Date.parse(inAMinute) - Date.now());
  expect(retryAfterMs('Wed, 21 Oct 2015 07:28:00 GMT')).toBe(0);
  for (const neither of [null, '', '-1', '1.5', 'soon', '1e9', '0x10'])
    expect(retryAfterMs(neither)).toBe(undefined);
});
