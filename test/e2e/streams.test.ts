import { expect, test, vi } from 'vitest';
import type { FollowedEvent } from '../../sdk/stream-client.ts';
import { heard } from '../support/heard.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();
const patience = { timeout: 60_000, interval: 25 };
/** For what is ended by the test. */
const limits = { wallMs: 600_000 };
const MiB = 1024 * 1024;

/** Never ends by itself. */
const endless = 'console.log("begun"); setInterval(() => {}, 1000)';

type Text = 'stdout' | 'stderr' | 'chunk';
function textOf(events: FollowedEvent[], type: Text): string {
  return events.map((event) => (event.type === type && 'text' in event ? event.text : '')).join('');
}

async function collect(events: AsyncIterable<FollowedEvent>): Promise<FollowedEvent[]> {
  const all: FollowedEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** Resolves with the first event of the kind; leaves the others unread, and the connection open. */
async function next(events: AsyncGenerator<FollowedEvent, void, void>, type: FollowedEvent['type']) {
  for (let found = await events.next(); !found.done; found = await events.next())
    if (found.value.type === type) return found.value;
  throw new Error(`the events ended without ${type}`);
}

test('what a program prints comes in its order, and the record at the end', async () => {
  const code = `${heard}
for fd, text in (1, b'one\\n'), (2, b'two\\n'), (1, b'three\\n'):
    os.write(fd, text)
    heard(fd)
`;
  const events = running.client.runEvents({ runtime: 'python', code });
  const seen = await collect(events);
  expect(seen.map(({ type }) => type)).toEqual(['started', 'stdout', 'stderr', 'stdout', 'end']);
  const end = seen.at(-1);
  if (end?.type !== 'end') throw new Error('no end');
  expect(seen[0]).toMatchObject({ id: end.invocation.id, start: end.invocation.start });
  expect(textOf(seen, 'stdout')).toBe(end.invocation.stdout);
  expect(textOf(seen, 'stderr')).toBe('two\n');
  expect(end.invocation.outcome).toEqual({ status: 'ok' });
  expect(await running.client.invocation(end.invocation.id)).toEqual(end.invocation);
});

test('a character that is written in two halves is told whole', async () => {
  const code = `
    const [a, b] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)];
    process.stdout.write(a);
    setTimeout(() => process.stdout.write(b), 200);`;
  const seen = await collect(running.client.runEvents({ runtime: 'node', code }));
  expect(textOf(seen, 'stdout')).toBe('é');
});

test('a program that prints many lines is told whole, in few events', async () => {
  const code = 'for i in range(200000): print(i)';
  const seen = await collect(
    running.client.runEvents({ runtime: 'python', code, limits: { stdoutBytes: 4 * MiB } }),
  );
  const end = seen.at(-1);
  if (end?.type !== 'end') throw new Error('no end');
  expect(end.invocation.outcome).toEqual({ status: 'ok' });
  expect(textOf(seen, 'stdout') === end.invocation.stdout).toBe(true);
  expect(end.invocation.stdout.split('\n').length).toBe(200_001);
  expect(seen.length).toBeLessThan(1000);
});

test('who runs with events and leaves has cancelled, and the sandbox is gone', async () => {
  const events = running.client.runEvents({ runtime: 'node', code: endless, limits });
  const started = await next(events, 'started');
  await next(events, 'stdout');
  await events.return();
  const id = started.type === 'started' ? started.id : '';
  await vi.waitFor(async () => {
    expect((await running.client.invocation(id)).outcome).toEqual({ status: 'cancelled' });
    const { sandboxes } = await running.client.sandboxes();
    expect(sandboxes.filter(({ invocationId }) => invocationId === id)).toEqual([]);
  }, patience);
});

test('who follows an invocation hears it from its beginning, and cancels nothing by leaving', async () => {
  const { id } = await running.client.runAsync({ runtime: 'node', code: endless, limits });
  await vi.waitFor(
    async () => expect((await running.client.invocation(id)).status).toBe('running'),
    patience,
  );
  const first = running.client.events(id);
  expect(await next(first, 'stdout')).toMatchObject({ text: 'begun\n' });
  await first.return();
  // Another one, after the first has left.
  const second = running.client.events(id);
  await next(second, 'stdout');
  expect((await running.client.invocation(id)).status).toBe('running');
  await running.client.cancel(id);
  expect(await next(second, 'end')).toMatchObject({ invocation: { outcome: { status: 'cancelled' } } });
});

test('after its end an invocation tells the same, whether somebody had followed it or not', async () => {
  const code = 'console.log("a"); console.error("b")';
  const followed = await collect(running.client.runEvents({ runtime: 'node', code }));
  const end = followed.at(-1);
  if (end?.type !== 'end') throw new Error('no end');
  expect(await collect(running.client.events(end.invocation.id))).toEqual(followed);
  const alone = await running.client.run({ runtime: 'node', code });
  const types = (await collect(running.client.events(alone.id))).map(({ type }) => type);
  expect(types).toEqual(['started', 'stdout', 'stderr', 'end']);
});

test('with Last-Event-ID only what comes behind it is told, and nothing at all behind the end', async () => {
  const code = 'console.log("a"); setTimeout(() => console.log("b"), 200)';
  const all = await collect(running.client.runEvents({ runtime: 'node', code }));
  const end = all.at(-1);
  if (end?.type !== 'end') throw new Error('no end');
  const { id } = end.invocation;
  for (const [index, { eventId }] of all.entries())
    expect(await collect(running.client.events(id, { lastEventId: eventId }))).toEqual(all.slice(index + 1));
  const alone = await running.client.run({ runtime: 'node', code });
  const told = await collect(running.client.events(alone.id));
  for (const [index, { eventId }] of told.entries())
    expect(await collect(running.client.events(alone.id, { lastEventId: eventId }))).toEqual(
      told.slice(index + 1),
    );
});

test('the logs are what was printed, of either stream or both, whole or the last lines', async () => {
  const code = 'for (let i = 0; i < 5; i++) console.log(i); console.error("e")';
  const { id } = await running.client.run({ runtime: 'node', code });
  const logs = async (options: Parameters<typeof running.client.logs>[1]) =>
    new Response(await running.client.logs(id, options)).text();
  expect(await logs({})).toBe('0\n1\n2\n3\n4\ne\n');
  expect(await logs({ stream: 'stderr' })).toBe('e\n');
  expect(await logs({ stream: 'stdout', tail: 2 })).toBe('3\n4\n');
  expect(await logs({ stream: 'stdout', tail: 0 })).toBe('');
  expect(await logs({ stream: 'stdout', tail: 99, follow: true })).toBe('0\n1\n2\n3\n4\n');
});

test('logs are followed: the last lines of what there is, then each as it comes', async () => {
  const code = 'let i = 0; console.log("a\\nb"); setInterval(() => console.log(i++), 50)';
  const { id } = await running.client.runAsync({ runtime: 'node', code, limits });
  await vi.waitFor(
    async () => expect((await running.client.invocation(id)).status).toBe('running'),
    patience,
  );
  await vi.waitFor(
    async () => expect(await textFrom(await running.client.logs(id))).toMatch(/^a\nb\n0\n/),
    patience,
  );
  const reader = (await running.client.logs(id, { follow: true, tail: 1 })).getReader();
  const decoder = new TextDecoder();
  let text = '';
  while (text.split('\n').length < 6) {
    const { done, value } = await reader.read();
    expect(done).toBe(false);
    text += decoder.decode(value, { stream: true });
  }
  const numbers = text.trim().split('\n').map(Number);
  expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] as number) + index));
  await running.client.cancel(id);
  while (!(await reader.read()).done);
});

test('events and logs of an invocation that there is not are a 404', async () => {
  const id = `inv_${'a'.repeat(26)}`;
  for (const path of ['events', 'logs']) {
    const response = await fetch(`${running.platform.url}/v1/invocations/${id}/${path}`);
    expect(response.status).toBe(404);
  }
});

async function deploy(name: string, runtime: 'node' | 'python', content: string) {
  const path = runtime === 'node' ? 'index.mjs' : 'main.py';
  const handler = runtime === 'node' ? 'index.handler' : 'main.handler';
  await running.client.deploy(name, { runtime, handler, files: [{ path, content }], limits });
}

async function textFrom(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new Response(stream).text();
}

test.each([
  [
    'node',
    `export async function* handler(event) {
       yield event.first; yield Buffer.from('é'); await new Promise((done) => setTimeout(done, event.waitMs)); yield 'end' }`,
  ],
  [
    'python',
    'import time\ndef handler(event, context):\n  yield event["first"]\n  yield "é".encode()\n  time.sleep(event["waitMs"] / 1000)\n  yield "end"',
  ],
  [
    'python',
    'import asyncio\nasync def handler(event, context):\n  yield event["first"]\n  yield "é".encode()\n  await asyncio.sleep(event["waitMs"] / 1000)\n  yield "end"',
  ],
] as const)('what a %s handler yields is sent while it runs', async (runtime, content) => {
  await deploy('streamed', runtime, content);
  expect(await textFrom(await running.client.stream('streamed', { first: 'one ', waitMs: 0 }))).toBe(
    'one éend',
  );
  const response = await fetch(`${running.platform.url}/v1/functions/streamed/invoke`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ first: 'one ', waitMs: 500_000 }),
  });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let text = '';
  for (const decoder = new TextDecoder(); text !== 'one é'; ) {
    const { done, value } = await reader.read();
    expect(done).toBe(false);
    text += decoder.decode(value, { stream: true });
  }
  // The rest of it is still to come.
  const id = response.headers.get('oncebox-invocation-id') ?? '';
  expect((await running.client.invocation(id)).status).toBe('running');
  expect(response.headers.get('oncebox-request-id')).not.toBeNull();
  await reader.cancel();
});

test('a streamed result is in the events, and its length in the record', async () => {
  await deploy('evented', 'node', 'export function* handler() { yield "ab"; yield "é"; }');
  const seen = await collect(running.client.invokeEvents('evented'));
  expect(textOf(seen, 'chunk')).toBe('abé');
  expect(seen.at(-1)).toMatchObject({
    type: 'end',
    invocation: { outcome: { status: 'ok', result: null }, streamedBytes: 4 },
  });
  // Without anybody waiting, too: it can be had later.
  const { id } = await running.client.invokeAsync('evented');
  expect(textOf(await collect(running.client.events(id)), 'chunk')).toBe('abé');
});

test('megabytes are streamed whole, also to who reads slowly', async () => {
  await deploy(
    'large',
    'node',
    'export function* handler() { for (let i = 0; i < 160; i++) yield Buffer.alloc(100_000, i); }',
  );
  const reader = (await running.client.stream('large')).getReader();
  let length = 0;
  let isRight = true;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    for (const byte of next.value) isRight &&= byte === Math.floor(length++ / 100_000);
  }
  expect({ length, isRight }).toEqual({ length: 16_000_000, isRight: true });
});

test('a result that is streamed without end is cut at its cap, and the record says so', async () => {
  await deploy('endless', 'python', 'def handler(event, context):\n  while True: yield b"x" * 100000');
  const stream = await running.client.stream('endless');
  await expect(textFrom(stream)).rejects.toThrow();
  const seen = await collect(running.client.invokeEvents('endless'));
  expect(seen.at(-1)).toMatchObject({
    invocation: { outcome: { status: 'limit_exceeded', limit: 'output', max: 64 * MiB } },
  });
});

test('an error behind the first byte cuts the connection, and is in the record', async () => {
  await deploy(
    'fails',
    'node',
    'export async function* handler() { yield "a"; await new Promise((done) => setTimeout(done, 200)); throw new Error("late") }',
  );
  const response = await fetch(`${running.platform.url}/v1/functions/fails/invoke`, { method: 'POST' });
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow();
  const id = response.headers.get('oncebox-invocation-id') ?? '';
  await vi.waitFor(
    async () =>
      expect((await running.client.invocation(id)).outcome).toMatchObject({
        status: 'function_error',
        message: 'late',
      }),
    patience,
  );
});

test('an error before the first byte is an error reply', async () => {
  await deploy('fails-first', 'node', 'export async function* handler() { throw new Error("early") }');
  await expect(running.client.invoke('fails-first')).rejects.toMatchObject({ code: 'function_error' });
});

test('who reads a streamed result and leaves has cancelled, and the sandbox is gone', async () => {
  await deploy(
    'left',
    'node',
    'export async function* handler() { for (;;) { yield "x"; await new Promise((done) => setTimeout(done, 50)) } }',
  );
  const hangUp = new AbortController();
  const response = await fetch(`${running.platform.url}/v1/functions/left/invoke`, {
    method: 'POST',
    signal: hangUp.signal,
  });
  const id = response.headers.get('oncebox-invocation-id') ?? '';
  await response.body?.getReader().read();
  hangUp.abort();
  await vi.waitFor(async () => {
    expect((await running.client.invocation(id)).outcome).toEqual({ status: 'cancelled' });
    const { sandboxes } = await running.client.sandboxes();
    expect(sandboxes.filter(({ invocationId }) => invocationId === id)).toEqual([]);
  }, patience);
});

test('what user code writes on the result channel itself is no stream of anybody', async () => {
  await deploy(
    'liar',
    'node',
    `import { writeSync, readdirSync, readlinkSync } from 'node:fs';
     export function handler() {
       for (const fd of readdirSync('/proc/self/fd')) {
         try { if (Number(fd) > 2 && readlinkSync('/proc/self/fd/' + fd).startsWith('pipe:')) writeSync(Number(fd), 'not JSON\\n') } catch {}
       }
       return 'ok';
     }`,
  );
  expect((await running.client.invoke('liar')).result).toBe('ok');
});

const response = [
  { type: 'head', status: 299, headers: [['content-type', 'application/json']] },
  { type: 'chunk', text: '{"outcome":{"status":"ok"},"stdout":"42"}' },
]
  .map((record) => `${JSON.stringify(record)}\n`)
  .join('');

/** Writes to all pipes that the program has beside its own three. */
const saying = {
  node: (text: string) => `
    const { writeSync, readdirSync, readlinkSync } = require('node:fs');
    for (const fd of readdirSync('/proc/self/fd')) {
      try { if (Number(fd) > 2 && readlinkSync('/proc/self/fd/' + fd).startsWith('pipe:')) writeSync(Number(fd), ${JSON.stringify(text)}) } catch {}
    }`,
  python: (text: string) => `
import os
for fd in os.listdir('/proc/self/fd'):
    try:
        if int(fd) > 2 and os.readlink('/proc/self/fd/' + fd).startswith('pipe:'): os.write(int(fd), ${JSON.stringify(text)}.encode())
    except OSError: pass
`,
};

test.each([
  ['node', `${saying.node(response)}\nprocess.exit(3)`],
  ['python', `${saying.python(response)}\nos._exit(3)`],
] as const)('a %s snippet puts no reply of its own in the place of its record', async (runtime, code) => {
  const reply = await fetch(`${running.platform.url}/v1/run`, {
    method: 'POST',
    body: JSON.stringify({ runtime, code }),
  });
  expect(reply.status).toBe(200);
  const record = await reply.json();
  expect(record).toMatchObject({ status: 'done', outcome: { status: 'exited', exitCode: 3 }, stdout: '' });
  expect(record).not.toHaveProperty('streamedBytes');
  const seen = await collect(running.client.runEvents({ runtime, code }));
  expect(seen.map(({ type }) => type)).toEqual(['started', 'end']);
});

test('a handler has no say about the status and headers of an invoke', async () => {
  const headed = response.replace('{"type":"head"', '{"type":"chunk","text":"a"}\n{"type":"head"');
  for (const text of [response, headed]) {
    await running.client.deploy('headed', {
      runtime: 'node',
      handler: 'index.handler',
      files: [
        { path: 'index.cjs', content: `exports.handler = () => { ${saying.node(text)}; return 'own' }` },
      ],
    });
    const reply = await fetch(`${running.platform.url}/v1/functions/headed/invoke`, { method: 'POST' });
    expect(reply.status).toBe(200);
    expect(await reply.text()).toBe(text === response ? '"own"' : 'a');
  }
});

test('a streamed result that is asked for again with its key is the first one', async () => {
  await deploy('once', 'node', 'export function* handler() { yield String(Math.random()); }');
  const ask = async () => {
    const reply = await fetch(`${running.platform.url}/v1/functions/once/invoke`, {
      method: 'POST',
      headers: { 'idempotency-key': 'once' },
    });
    return { status: reply.status, text: await reply.text() };
  };
  const first = await ask();
  expect(first).toMatchObject({ status: 200, text: expect.stringMatching(/^0\.\d/) });
  expect(await ask()).toEqual(first);
});
