import { expect, test } from 'vitest';
import { ArtifactsExceededError, maxArtifactBytes, readArtifacts } from '../../services/worker/artifacts.ts';
import { hostileEntries, makeBundle, makeTar, type TarEntry } from '../image/make-tar.ts';

async function read(entries: readonly TarEntry[]): Promise<Record<string, string>> {
  const files = await readArtifacts(makeTar(entries));
  return Object.fromEntries(files.map(({ path, bytes }) => [path, Buffer.from(bytes).toString()]));
}

test('files of the working directory are taken, with those of its directories, and nothing from elsewhere', async () => {
  const bytes = Buffer.from([0, 255, 10, 128]);
  const files = await readArtifacts(
    makeTar([
      { path: 'etc/passwd', data: 'root' },
      { path: 'tmp/cache', data: 'x' },
      { path: 'work/', type: 'Directory' },
      { path: 'work/lib/', type: 'Directory' },
      { path: 'work/lib/a.o', data: bytes },
      { path: 'work/empty' },
      { path: `work/${'long/'.repeat(60)}name`, data: 'deep' },
    ]),
  );
  expect(files.map(({ path, bytes }) => [path, Buffer.from(bytes)])).toEqual([
    ['lib/a.o', bytes],
    ['empty', Buffer.alloc(0)],
    [`${'long/'.repeat(60)}name`, Buffer.from('deep')],
  ]);
});

test('a link inside the working directory is a copy of what it leads to', async () => {
  expect(
    await read([
      { path: 'work/lib/real', data: 'it' },
      { path: 'work/hard', type: 'Link', linkpath: 'work/lib/real' },
      { path: 'work/soft', type: 'SymbolicLink', linkpath: 'lib/real' },
      { path: 'work/lib/up', type: 'SymbolicLink', linkpath: '../soft' },
      { path: 'work/absolute', type: 'SymbolicLink', linkpath: '/work/lib/real' },
    ]),
  ).toEqual({ 'lib/real': 'it', hard: 'it', soft: 'it', 'lib/up': 'it', absolute: 'it' });
});

test.each<[string, TarEntry]>([
  ['a path that climbs out', { path: 'work/../etc/passwd', data: 'x' }],
  ['an absolute path', { path: '/work/a', data: 'x' }],
  ['a path with empty parts', { path: 'work//a', data: 'x' }],
  ['a name that only begins like it', { path: 'workshop/a', data: 'x' }],
  ['a path longer than any program may have', { path: `work/${'x/'.repeat(600)}y`, data: 'x' }],
  ['a device', { path: 'work/disk', type: 'BlockDevice' }],
  ['a pipe', { path: 'work/pipe', type: 'FIFO' }],
  ['a link that leads out', { path: 'work/out', type: 'SymbolicLink', linkpath: '/etc/passwd' }],
  ['a link that climbs out', { path: 'work/up', type: 'SymbolicLink', linkpath: '../../etc/passwd' }],
  ['a hard link to a file of elsewhere', { path: 'work/hard', type: 'Link', linkpath: 'etc/shadow' }],
  ['a link to itself', { path: 'work/self', type: 'SymbolicLink', linkpath: 'self' }],
  ['a link to a directory', { path: 'work/dir', type: 'SymbolicLink', linkpath: '.' }],
])('%s is left out, and what is beside it is not', async (_, entry) => {
  expect(await read([{ path: 'etc/shadow', data: 'x' }, entry, { path: 'work/good', data: 'y' }])).toEqual({
    good: 'y',
  });
});

test.each(Object.entries(hostileEntries))('an archive with %s gives no file', async (_, entry) => {
  const taken = await readArtifacts(makeTar([entry])).catch(() => []);
  expect(taken).toEqual([]);
});

test('names are taken as they are: with newlines, and with what deletes in a layer', async () => {
  expect(
    await read([
      { path: 'work/a\nb', data: '1' },
      { path: 'work/.wh.c', data: '2' },
    ]),
  ).toEqual({
    'a\nb': '1',
    '.wh.c': '2',
  });
});

test('files that are too large together are refused, and so are links that make them so', async () => {
  const half = Buffer.alloc(maxArtifactBytes / 2);
  const two: TarEntry[] = [
    { path: 'work/a', data: half },
    { path: 'work/b', type: 'Link', linkpath: 'work/a' },
  ];
  expect(await readArtifacts(makeTar(two))).toHaveLength(2);
  const more: TarEntry = { path: 'work/c', type: 'SymbolicLink', linkpath: 'b' };
  await expect(readArtifacts(makeTar([...two, more]))).rejects.toMatchObject({
    name: 'ArtifactsExceededError',
    limit: 'disk',
    max: maxArtifactBytes,
  });
  // It is believed to be as large as it says before there is any of it.
  const boast = makeTar([{ path: 'work/big', size: maxArtifactBytes + 1 }], { end: false });
  await expect(readArtifacts(boast)).rejects.toThrow(ArtifactsExceededError);
});

test('more files than a program may have are refused', async () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, index): TarEntry => ({ path: `work/${index}` }));
  await expect(readArtifacts(makeTar(many(5_001)))).rejects.toMatchObject({ limit: 'inodes', max: 5_000 });
});

test('nothing at all is no file; a compressed or torn tar is refused', async () => {
  expect(await readArtifacts(new Uint8Array())).toEqual([]);
  expect(await readArtifacts(Buffer.alloc(1024))).toEqual([]);
  await expect(readArtifacts(makeBundle([{ path: 'work/a', data: 'x' }]))).rejects.toThrow('compressed');
  await expect(readArtifacts(Buffer.alloc(1024, 'x'))).rejects.toThrow();
});
