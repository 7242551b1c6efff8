import { expect, test } from 'vitest';
import { readEventStream } from '../../sdk/event-stream.ts';

/** A body in the pieces that the text is cut into; of bytes, where `size` is given. */
function bodyOf(text: string, size = Number.POSITIVE_INFINITY): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + Math.min(size, bytes.length)));
      at += Math.min(size, bytes.length);
    },
  });
}

async function read(text: string, size?: number) {
  const events = [];
  for await (const event of readEventStream(bodyOf(text, size))) events.push(event);
  return events;
}

const event = (data: string, more = {}) => ({ type: 'message', data, lastEventId: '', ...more });

// Those of web-platform-tests, eventsource/format-*, by their names there.
const cases: [string, string, ReturnType<typeof event>[]][] = [
  ['format-bom', '\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3\n\n', [event('1'), event('3')]],
  ['format-bom-2', '\uFEFF\uFEFFdata:1\n\ndata:2\n\ndata:3\n\n', [event('2'), event('3')]],
  [
    'format-comments',
    `data:1\r:\0\n:\r\ndata:2\n:${'x'.repeat(4096)}\rdata:3\n:data:fail\r:\ndata:4\n\n`,
    [event('1\n2\n3\n4')],
  ],
  ['format-data-before-final-empty-line', 'retry:1000\ndata:test1\n\nid:test\ndata:test2', [event('test1')]],
  ['format-field-data', 'data:\n\ndata\ndata\n\ndata:test\n\n', [event(''), event('\n'), event('test')]],
  ['format-field-event', 'event:test\ndata:x\n\ndata:x\n\n', [event('x', { type: 'test' }), event('x')]],
  ['format-field-event-empty', 'event: \ndata:data\n\n', [event('data')]],
  [
    'format-field-id',
    'id: 1\ndata:a\n\ndata:b\n\nid\ndata:c\n\n',
    [event('a', { lastEventId: '1' }), event('b', { lastEventId: '1' }), event('c')],
  ],
  [
    'format-field-id-null',
    'id: 1\0\ndata:a\n\nid: 2\ndata:b\n\nid: \0\ndata:c\n\n',
    [event('a'), event('b', { lastEventId: '2' }), event('c', { lastEventId: '2' })],
  ],
  [
    'format-field-parsing',
    'data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n',
    [event('\0\n 2\n1\n3\n\n4')],
  ],
  [
    'format-field-unknown',
    'data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n',
    [event('test\n\ntest')],
  ],
  ['format-leading-space', 'data:\ttest\rdata: \ndata:test\n\n', [event('\ttest\n\ntest')]],
  ['format-newlines', 'data:test\r\ndata\ndata:test\r\n\r', [event('test\n\ntest')]],
  ['format-null-character', 'data:\0\n\n\n\n', [event('\0')]],
  ['format-utf-8', 'data:ok…\n\n', [event('ok…')]],
  [
    'an id before any event, and one with an event of no data',
    'id: 7\n\nevent: none\n\ndata: x\n\n',
    [event('x', { lastEventId: '7' })],
  ],
  ['nothing at all', '', []],
];

test.each(cases)('%s', async (_, text, events) => {
  expect(await read(text)).toEqual(events);
});

test.each(cases)('%s, byte for byte', async (_, text, events) => {
  expect(await read(text, 1)).toEqual(events);
});

test('a character that comes in two pieces is one, and what is none has a sign in its place', async () => {
  const bytes = new Uint8Array([
    ...new TextEncoder().encode('data: '),
    0xff,
    ...new TextEncoder().encode('😀\n\n'),
  ]);
  const pieces = Array.from(bytes, (_, index) => bytes.slice(index, index + 1));
  const events = [];
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  for await (const { data } of readEventStream(body)) events.push(data);
  expect(events).toEqual(['\uFFFD😀']);
});

test('an event is there as soon as it is whole', async () => {
  let send: (text: string) => void = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      send = (text) => controller.enqueue(new TextEncoder().encode(text));
    },
  });
  const events = readEventStream(body);
  send('data: 1\n\ndata: 2\r\n\r');
  expect((await events.next()).value?.data).toBe('1');
  // A CR is a line's end, whatever comes next.
  expect((await events.next()).value?.data).toBe('2');
  send('\ndata: 3\n');
  const third = events.next();
  send('\n');
  expect((await third).value?.data).toBe('3');
  await events.return();
});

test('who stops reading ends the connection', async () => {
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\n')),
    cancel() {
      isCancelled = true;
    },
  });
  for await (const { data } of readEventStream(body)) {
    expect(data).toBe('1');
    break;
  }
  expect(isCancelled).toBe(true);
});

test('a line of sixteen million characters in small pieces takes no longer than it has to', async () => {
  const data = 'x'.repeat(16_000_000);
  const [only, ...more] = await read(`data: ${data}\n\n`, 16_384);
  expect(only?.data.length).toBe(data.length);
  expect(more).toEqual([]);
});
