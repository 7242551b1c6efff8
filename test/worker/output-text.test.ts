import { expect, test } from 'vitest';
import { createCharacterSplitter, outputText } from '../../services/worker/output-text.ts';

/** What events say of bytes that come in these pieces. */
function told(...pieces: Uint8Array[]) {
  const splitter = createCharacterSplitter();
  return [...pieces.map((piece) => splitter.push(piece)), splitter.end()].map(outputText);
}
const bytesOf = (events: { text: string; base64?: string }[]) =>
  Buffer.concat(events.map(({ text, base64 }) => Buffer.from(base64 ?? text, base64 ? 'base64' : 'utf8')));

test('a character that comes in pieces is told when it is whole', () => {
  const bytes = Buffer.from('añ→😀');
  const events = told(...Array.from(bytes, (byte) => Buffer.from([byte])));
  expect(events.map(({ text }) => text).join('|')).toBe('a||ñ|||→||||😀|');
  expect(events.every(({ base64 }) => base64 === undefined)).toBe(true);
});

test('a byte order mark stays', () => {
  expect(told(Buffer.from('\ufeffa'))).toMatchObject([{ text: '\ufeffa' }, { text: '' }]);
});

test.each([
  ['every byte', Array.from({ length: 256 }, (_, at) => at)],
  ['overlong and too large', [0xc0, 0x80, 0xe0, 0x80, 0x80, 0xf4, 0x90, 0x80, 0x80, 0xff, 0xfe]],
  ['half a surrogate pair', [0xed, 0xa0, 0x80, 0x61]],
  ['characters that break off', [0xf0, 0x9f, 0x98, 0x61, 0xe2, 0x86, 0xc3]],
])('%s: the bytes are told as they were, and their text as a decoder has it', (_, numbers) => {
  const bytes = Buffer.from(numbers);
  for (let size = 1; size <= 5; size++) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
    const events = told(...pieces);
    expect(bytesOf(events).equals(bytes)).toBe(true);
    expect(events.map(({ text }) => text).join('')).toBe(
      new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
    );
  }
});
