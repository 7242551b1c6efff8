import { expect, test } from 'vitest';
import { acceptsEvents, eventReply, lastEventIdOf } from '../../services/gateway/sse.ts';
import type { NumberedEvent } from '../../services/queue/event-feed.ts';
import { gate } from '../support/gateway.ts';

const stdout = (text: string): NumberedEvent => ({ eventId: '1-1', event: { type: 'stdout', text } });
const decoder = new TextDecoder();

async function* told(...events: NumberedEvent[]): AsyncGenerator<NumberedEvent, void, void> {
  yield* events;
}

test('an event is its id, its name and its data on one line, whatever is in it', async () => {
  const reply = eventReply(told(stdout('a\nb\r\n\u2028')), { 'x-own': '1' });
  expect(reply.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(reply.headers.get('x-own')).toBe('1');
  expect(await reply.text()).toBe(
    ': oncebox\n\nid: 1-1\nevent: stdout\ndata: {"text":"a\\nb\\r\\n\u2028"}\n\n',
  );
});

test('while nothing comes a comment does, so that nobody closes the connection', async () => {
  const quiet = gate();
  async function* events() {
    await quiet.opened;
    yield stdout('late');
  }
  const reader = eventReply(events(), {}, { heartbeatMs: 5 }).body?.getReader();
  await reader?.read();
  expect(decoder.decode((await reader?.read())?.value)).toBe(':\n\n');
  expect(decoder.decode((await reader?.read())?.value)).toBe(':\n\n');
  quiet.open();
  let text = '';
  while (!text.includes('late')) text = decoder.decode((await reader?.read())?.value);
  expect(text).toContain('event: stdout');
});

test('no event is read before the client has taken the one before it', async () => {
  let asked = 0;
  async function* events() {
    for (;;) yield stdout(`${asked++}`);
  }
  const reader = eventReply(events(), {}).body?.getReader();
  await reader?.read();
  for (let taken = 1; taken <= 3; taken++) {
    await reader?.read();
    expect(asked).toBe(taken);
  }
  await reader?.cancel();
});

test('a client that leaves ends the reading, and is told of once', async () => {
  let left = 0;
  let isEnded = false;
  async function* events() {
    try {
      for (;;) yield stdout('x');
    } finally {
      isEnded = true;
    }
  }
  const reader = eventReply(events(), {}, { onLeft: () => left++ }).body?.getReader();
  await reader?.read();
  await reader?.read();
  await reader?.cancel();
  expect({ left, isEnded }).toEqual({ left: 1, isEnded: true });
});

test('a client that takes nothing for long counts as one that has left', async () => {
  const gone = gate();
  async function* events() {
    for (;;) yield stdout('x');
  }
  const reader = eventReply(events(), {}, { onLeft: gone.open, stalledMs: 5 }).body?.getReader();
  await reader?.read();
  await reader?.read();
  await gone.opened;
  await expect(reader?.read()).rejects.toThrow('takes nothing');
});

test('events that cannot be read any more end with an error that says what to do', async () => {
  // biome-ignore lint/correctness/useYield: it fails before there is anything
  async function* events(): AsyncGenerator<NumberedEvent, void, void> {
    throw new Error('Connection is closed.');
  }
  expect(await eventReply(events(), {}).text()).toMatch(
    /event: error\ndata: \{"message":".*Last-Event-ID"\}\n\n$/,
  );
});

test('only who names the media type gets events', () => {
  expect(acceptsEvents('text/event-stream')).toBe(true);
  expect(acceptsEvents('application/json, Text/Event-Stream;q=0.5')).toBe(true);
  expect(acceptsEvents('*/*')).toBe(false);
  expect(acceptsEvents(undefined)).toBe(false);
});

test('a Last-Event-ID that is not of ours counts as none', () => {
  expect(lastEventIdOf('1700000000000-3')).toBe('1700000000000-3');
  expect(lastEventIdOf('end')).toBe('end');
  for (const id of ['', '+', '(1-1', '1-1 2', undefined]) expect(lastEventIdOf(id)).toBeUndefined();
});
