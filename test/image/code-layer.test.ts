import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

import { type CodeFile, packCodeLayer, unpackBundle } from '../../services/registry/code-layer.ts';
import { hostileEntries, makeBundle, makeTar, type TarEntry } from './make-tar.ts';
import { readTar } from './read-tar.ts';

const MiB = 1024 * 1024;
const file = (path: string, text: string): CodeFile => ({ path, data: Buffer.from(text) });

describe('packing a code layer', () => {
  test('the same files in another order have the same digest, other content another one', () => {
    const a = packCodeLayer([file('index.mjs', 'one'), file('lib/b.mjs', 'two')]);
    const b = packCodeLayer([file('lib/b.mjs', 'two'), file('index.mjs', 'one')]);
    const c = packCodeLayer([file('lib/b.mjs', 'two'), file('index.mjs', 'changed')]);
    expect(b.digest).toBe(a.digest);
    expect(Buffer.compare(b.tar, a.tar)).toBe(0);
    expect(c.digest).not.toBe(a.digest);
    expect(createHash('sha256').update(a.tar).digest('hex')).toBe(a.digest);
  });

  test('the files lie under function/, with their parents, modes and bytes', () => {
    const { tar } = packCodeLayer([
      file('a/b/c.py', 'print(1)'),
      { ...file('run.sh', '#!/bin/sh\n'), executable: true },
    ]);
    expect(readTar(tar)).toEqual([
      { type: 'directory', path: 'function' },
      { type: 'directory', path: 'function/a' },
      { type: 'directory', path: 'function/a/b' },
      { type: 'file', path: 'function/a/b/c.py', executable: false, data: Buffer.from('print(1)') },
      { type: 'file', path: 'function/run.sh', executable: true, data: Buffer.from('#!/bin/sh\n') },
    ]);
  });

  test('long names, names that are not ASCII and empty files survive', () => {
    const long = `${'d'.repeat(120)}/${'e'.repeat(120)}/${'f'.repeat(200)}.txt`;
    const files = [file(long, 'long'), file('größe/日本.txt', 'ü'), file('empty', '')];
    const { tar, digest } = packCodeLayer(files);
    const paths = readTar(tar).flatMap((entry) => (entry.type === 'file' ? [entry.path] : []));
    expect(paths.sort()).toEqual(files.map(({ path }) => `function/${path}`).sort());
    expect(packCodeLayer(files).digest).toBe(digest);
  });

  test('two files with one path, and a file where a directory has to be, are refused', () => {
    expect(() => packCodeLayer([file('a', '1'), file('a', '2')])).toThrow('two files want the path "a"');
    expect(() => packCodeLayer([file('a', '1'), file('a/b', '2')])).toThrow(
      '"a" is both a file and a directory',
    );
  });
});

describe('unpacking a bundle', () => {
  const plain: TarEntry[] = [
    { path: './', type: 'Directory', mode: 0o755 },
    { path: './index.mjs', data: 'export const handler = () => 1;' },
    { path: './lib/', type: 'Directory', mode: 0o755 },
    { path: './lib/run.sh', data: '#!/bin/sh\n', mode: 0o755 },
  ];

  test('a plain bundle gives its files', async () => {
    expect(await unpackBundle(makeBundle(plain), MiB)).toEqual([
      { path: 'index.mjs', data: Buffer.from('export const handler = () => 1;'), executable: false },
      { path: 'lib/run.sh', data: Buffer.from('#!/bin/sh\n'), executable: true },
    ]);
  });

  for (const [name, entry] of Object.entries(hostileEntries)) {
    test(`${name} is refused, and named`, async () => {
      await expect(unpackBundle(makeBundle([...plain, entry]), MiB)).rejects.toThrow(
        JSON.stringify(entry.path),
      );
    });
  }

  test('a bomb is refused before it is unpacked, and what just fits is not', async () => {
    const bomb = makeBundle([{ path: 'zeros', data: Buffer.alloc(200 * MiB) }]);
    expect(bomb.length).toBeLessThan(MiB);
    await expect(unpackBundle(bomb, MiB)).rejects.toThrow(`larger than ${MiB} bytes unpacked`);
    const fits = makeBundle([{ path: 'zeros', data: Buffer.alloc(MiB) }]);
    expect((await unpackBundle(fits, MiB))[0]?.data.length).toBe(MiB);
    await expect(unpackBundle(fits, MiB - 1)).rejects.toThrow('larger than');
  });

  test('more than 10,000 entries are refused', async () => {
    const many = Array.from({ length: 10_001 }, (_, index) => ({ path: `f${index}` }));
    await expect(unpackBundle(makeBundle(many), MiB)).rejects.toThrow('more than 10000 entries');
    expect(await unpackBundle(makeBundle(many.slice(1)), MiB)).toHaveLength(10_000);
  });

  test('a size below zero makes no room for more', async () => {
    const entries = [
      { path: 'a', size: -MiB },
      { path: 'b', data: Buffer.alloc(MiB) },
      { path: 'c', data: 'x' },
    ];
    await expect(unpackBundle(makeBundle(entries), MiB)).rejects.toThrow('larger than');
    expect(await unpackBundle(makeBundle(entries.slice(0, 2)), MiB)).toHaveLength(2);
  });

  test('what is no bundle is refused with what is wrong', async () => {
    const tar = makeTar(plain);
    const refusals: [string, Uint8Array, string][] = [
      ['nothing', Buffer.alloc(0), 'not a gzip file'],
      ['a plain tar', tar, 'not a gzip file'],
      ['half a gzip', gzipSync(tar).subarray(0, 60), 'not a valid gzip'],
      ['a gzip of text', gzipSync('hello'), 'not a valid tar'],
      ['a gzip in a gzip', gzipSync(gzipSync(tar)), 'not a valid tar'],
      ['half a tar', gzipSync(tar.subarray(0, 1100)), 'not a valid tar'],
      [
        'a tar with a broken header',
        gzipSync(Buffer.concat([tar.subarray(0, 512), Buffer.alloc(512, 0x41)])),
        'tar',
      ],
      ['a tar of nothing', gzipSync(makeTar([])), 'bundle'],
      ['a tar of directories', makeBundle([{ path: 'a/', type: 'Directory' }]), 'holds no files'],
      [
        'a file and a directory of one name',
        makeBundle([{ path: 'a' }, { path: 'a/b' }]),
        'both a file and a directory',
      ],
      ['one path twice', makeBundle([{ path: 'a' }, { path: './a' }]), '"a" twice'],
      ['a size beyond the end', makeBundle([{ path: 'a', size: 4096 }]), 'not a valid tar'],
    ];
    for (const [name, bundle, message] of refusals) {
      await expect(unpackBundle(bundle, MiB), name).rejects.toThrow(message);
    }
  });
});
