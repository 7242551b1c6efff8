import { expect, test } from 'vitest';
import { conflictingPath, filesSchema, isWhiteout } from '../../sdk/contract/files.ts';

test.each([
  '/etc/passwd',
  '../a',
  'a/../b',
  './a',
  'a//b',
  'a/',
  '',
  'a\0b',
  'a\nb',
  'a\\b',
  'x'.repeat(256),
])('the path %j is refused', (path) => {
  expect(filesSchema.safeParse([{ path, content: '' }]).success).toBe(false);
});

test.each(['a', 'a/b.c', '.hidden', 'a b', '…/ü', 'node_modules/@x/y.js'])('the path %j is taken', (path) => {
  expect(filesSchema.safeParse([{ path, content: '' }]).success).toBe(true);
});

test('two files cannot have one path, nor a file be a directory', () => {
  expect(conflictingPath(['a', 'b/c', 'b/d'])).toBeUndefined();
  expect(conflictingPath(['a', 'b', 'a'])).toEqual({ index: 2, path: 'a' });
  expect(conflictingPath(['a/b/c', 'a/b'])).toEqual({ index: 1, path: 'a/b' });
});

test('whiteouts are recognised at any depth', () => {
  expect([isWhiteout('.wh.a'), isWhiteout('a/.wh..wh..opq'), isWhiteout('a.wh.b')]).toEqual([
    true,
    true,
    false,
  ]);
});
