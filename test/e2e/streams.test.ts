import { expect, test, vi } from 'vitest';
import type { FollowedEvent } from '../../sdk/client.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();
const patience = { timeout: 20_000, interval: 25 };
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

test('what a program prints comes while it runs, in its order, and the record at the end', async () => {
  const code = `
    console.log('one');
    setTimeout(() => { console.error('two'); setTimeout(() => console.log('three'), 300) }, 300);`;
  const events = running.client.runEvents({ runtime: 'node', code });
  const seen: FollowedEvent[] = [];
  const at: number[] = [];
  for await (const event of events) {
    seen.push(event);
    at.push(performance.now());
  }
  expect(seen.map(({ type }) => type)).toEqual(['started', 'stdout', 'stderr', 'stdout', 'end']);
  const end = seen.at(-1);
  if (end?.type !== 'end') throw new Error('no end');
  expect(seen[0]).toMatchObject({ id: end.invocation.id, start: end.invocation.start });
  expect(textOf(seen, 'stdout')).toBe(end.invocation.stdout);
  expect(textOf(seen, 'stderr')).toBe('two\n');
  expect(end.invocation.outcome).toEqual({ status: 'ok' });
  // Not all at once, at the end: between the first line and the last the program waits.
  expect((at[3] as number) - (at[1] as number)).toBeGreaterThan(300);
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
  const events = running.client.runEvents({ runtime: 'node', code: endless });
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
  const { id } = await running.client.runAsync({ runtime: 'node', code: endless });
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
  const { id } = await running.client.runAsync({ runtime: 'node', code });
  await vi.waitFor(
    async () => expect((await running.client.invocation(id)).status).toBe('running'),
    patience,
  );
  const soFar = await new Response(await running.client.logs(id)).text();
  expect(soFar).toMatch(/^a\nb\n/);
  const reader = (await running.client.logs(id, { follow: true, tail: 1 })).getReader();
  const decoder = new TextDecoder();
  let text = '';
  while (text.split('\n').length < 6) text += decoder.decode((await reader.read()).value);
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
