import { expect, test } from 'vitest';
import { decodeOutput } from '../../services/worker/output.ts';

const euro = Buffer.from('€');

test('output is decoded as UTF-8, a byte order mark included', () => {
  expect(decodeOutput(Buffer.from('\ufeffa€\n'))).toBe('\ufeffa€\n');
  expect(decodeOutput(undefined)).toBe('');
});

test('bytes that are not UTF-8 become replacement characters', () => {
  expect(decodeOutput(Buffer.from([0x61, 0xff, 0x62]))).toBe('a\ufffdb');
});

test('a character cut in two by the cap is left out', () => {
  const cut = Buffer.concat([Buffer.from('a'), euro.subarray(0, 2)]);
  expect(decodeOutput(cut, true)).toBe('a');
  expect(decodeOutput(Buffer.concat([Buffer.from('a'), euro]), true)).toBe('a€');
});

test('half a character that the program itself ended with is shown as broken', () => {
  expect(decodeOutput(euro.subarray(0, 2))).toBe('\ufffd');
});
