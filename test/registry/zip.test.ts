import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { unpackZip } from '../../services/registry/zip.ts';
import { zipOf } from '../support/zip.ts';

const maxBytes = 100_000;

test('files come out with their content and whether they can be executed', async () => {
  const zip = zipOf({
    'index.mjs': 'é',
    'bin/': { content: '', mode: 0o040755 },
    'bin/run': { content: '#!/bin/sh', mode: 0o100755 },
  });
  expect(await unpackZip(zip, maxBytes)).toEqual([
    { path: 'index.mjs', data: Buffer.from('é'), executable: false },
    { path: 'bin/run', data: Buffer.from('#!/bin/sh'), executable: true },
  ]);
});

test.each([
  ['a link', { link: { content: '/etc/passwd', mode: 0o120777 } }, /links are not allowed/],
  ['a device', { tty: { content: '', mode: 0o020666 } }, /neither a file nor a directory/],
  ['a path that leads out', { '../x': '1' }, /invalid relative path/],
  ['an absolute path', { '/etc/x': '1' }, /absolute path/],
  ['a whiteout', { '.wh.x': '1' }, /reserved/],
  ['a file that is a directory too', { a: '1', 'a/b': '2' }, /both a file and a directory/],
  ['nothing', {}, /no files/],
  ['more than it may', { a: 'x'.repeat(60_000), b: 'x'.repeat(60_000) }, /larger than 100000 bytes/],
  [
    'more entries than it may',
    Object.fromEntries(Array.from({ length: 10_001 }, (_, at) => [`f${at}`, ''])),
    /more than 10000 entries/,
  ],
])('%s is refused', async (_, files, message) => {
  await expect(unpackZip(zipOf(files), maxBytes)).rejects.toThrow(message);
});

test('what unpacks to more than it says is refused before it has, and what is no zip is, too', async () => {
  const zip = compressed(Buffer.alloc(10_000_000), 50);
  await expect(unpackZip(zip, maxBytes)).rejects.toThrow(/too many bytes/);
  await expect(unpackZip(Buffer.from('none'), maxBytes)).rejects.toThrow(/Not a zip file/i);
  const good = zipOf({ a: '1' });
  await expect(unpackZip(good.subarray(20), maxBytes)).rejects.toThrow();
  for (let at = 0; at < good.length; at += 1) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ 0xff;
    // Some bytes mean nothing to us; none of them may throw anywhere else.
    await unpackZip(bad, maxBytes).catch((error: unknown) => expect(error).toBeInstanceOf(Error));
  }
});

/** One file, deflated, that says it is of another size. */
function compressed(content: Buffer, saysBytes: number): Buffer {
  const data = deflateRawSync(content);
  const zip = zipOf({ a: data.toString('latin1') });
  const stored = Buffer.from(data.toString('latin1'));
  const at = zip.indexOf(stored);
  const whole = Buffer.concat([
    zip.subarray(0, at),
    data,
    Buffer.alloc(stored.length - data.length),
    zip.subarray(at + stored.length),
  ]);
  const central = whole.lastIndexOf('PK\x01\x02');
  for (const header of [2 + 2, central + 6]) whole.writeUInt16LE(8, header + 4);
  whole.writeUInt32LE(data.length, central + 20);
  whole.writeUInt32LE(saysBytes, central + 24);
  whole.writeUInt32LE(data.length, 18);
  whole.writeUInt32LE(saysBytes, 22);
  return whole;
}
