import { execFile } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { LayerConnection } from '../../runtime/image/layer-connection.ts';
import { openLayerUnpacker } from '../../runtime/image/layer-unpacker.ts';
import { encodeStrings, frameType } from '../../runtime/zygote/protocol.ts';
import { descendants } from '../support/host.ts';
import { startLauncher } from '../support/launcher.ts';
import { digestOf, type TestLayers, treeOf, useLayers } from '../support/layers.ts';
import { makeTar, type TarEntry } from './make-tar.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;

/** A pax header with these records, for the entry that follows. */
function pax(records: Record<string, string>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    const length = rest + String(rest + String(rest).length).length;
    return `${length} ${key}=${value}\n`;
  });
  const tar = makeTar([{ path: 'pax', data: lines.join('') }], { end: false });
  tar.write('x', 156);
  tar.write('        ', 148);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return tar;
}

const withPax = (records: Record<string, string>, entry: TarEntry) =>
  Buffer.concat([pax(records), makeTar([entry])]);
const withXattr = (name: string) => withPax({ [`SCHILY.xattr.${name}`]: 'y' }, { path: 'file', data: 'x' });
const link = (path: string, linkpath: string): TarEntry => ({ path, type: 'SymbolicLink', linkpath });
const hard = (path: string, linkpath: string): TarEntry => ({ path, type: 'Link', linkpath });

/** Layers with canaries around them. The check counts what is outside of the layer, and that the next one is unpacked. */
async function useCanary(limits?: Parameters<typeof useLayers>[0]) {
  const layers = await useLayers(limits);
  await mkdir(join(layers.dir, 'canary'));
  await writeFile(join(layers.dir, 'canary', 'file'), 'alive');
  await writeFile(join(layers.layersDir, 'canary'), 'alive');
  const outside = async () => ({
    around: await treeOf(join(layers.dir, 'canary')),
    beside: await readdir(layers.dir),
    canary: await lstat(join(layers.layersDir, 'canary')),
    etc: (await lstat('/etc')).mtimeMs,
    root: await readdir('/'),
  });
  const before = await outside();
  const control = makeTar([{ path: 'control', data: 'x' }, link('link', 'control')]);
  return {
    ...layers,
    async nothingElseThan(names: readonly string[]) {
      expect(await outside()).toEqual(before);
      expect((await layers.names()).sort()).toEqual(['canary', ...names].sort());
      const { name } = await layers.unpack(control);
      await layers.unpacker.remove(name);
      expect(await layers.names()).toHaveLength(names.length + 1);
    },
  };
}

describe('refused, leaving nothing', () => {
  const cases: Record<string, [tar: Uint8Array, message: string]> = {
    'a path that climbs out': [makeTar([{ path: '../canary', data: 'dead' }]), 'climbs out'],
    'one that climbs in its middle': [makeTar([{ path: 'a/../../canary/file', data: 'dead' }]), 'climbs out'],
    'an absolute one that climbs': [makeTar([{ path: '/../../canary/file', data: 'dead' }]), 'climbs out'],
    'a directory that is its own parent': [makeTar([{ path: '..', type: 'Directory' }]), 'climbs out'],
    'a hard link that climbs out': [makeTar([hard('link', '../canary')]), 'climbs out'],
    'a hard link to what is not there': [makeTar([hard('link', '/etc/passwd')]), 'which is no file'],
    'a hard link to a directory': [
      makeTar([{ path: 'd/', type: 'Directory' }, hard('link', 'd')]),
      'which is no file',
    ],
    'a hard link to itself': [makeTar([hard('a', 'a')]), 'which is no file'],
    'a hard link through a link to the outside': [
      makeTar([link('up', '../..'), hard('link', 'up/canary')]),
      'which is no file',
    ],
    'trusted.overlay.opaque': [withXattr('trusted.overlay.opaque'), 'only overlayfs may set'],
    'trusted.overlay.redirect': [withXattr('trusted.overlay.redirect'), 'only overlayfs may set'],
    'user.overlay.redirect': [withXattr('user.overlay.redirect'), 'only overlayfs may set'],
    'user.overlay.metacopy': [withXattr('user.overlay.metacopy'), 'only overlayfs may set'],
    'a whiteout of ..': [makeTar([{ path: 'd/.wh...' }]), 'whiteout of nothing'],
    'a whiteout of nothing': [makeTar([{ path: '.wh.' }]), 'whiteout of nothing'],
    'a file below a whiteout': [makeTar([{ path: '.wh.d/file' }]), 'below a whiteout'],
    'a name of 4 KB': [makeTar([{ path: 'n'.repeat(4096), data: 'x' }]), 'too long'],
    'a path of 5 KB': [makeTar([{ path: 'name/'.repeat(1000), data: 'x' }]), 'too long or too deep'],
    'three hundred directories deep': [makeTar([{ path: `${'d/'.repeat(300)}file` }]), 'too deep'],
    'links in a circle': [makeTar([link('a', 'b'), link('b', 'a'), { path: 'a/file' }]), 'follow'],
    'an owner who is the services': [
      withPax({ uid: '65536' }, { path: 'file' }),
      'belongs to id 65536; ids go from 0 to 65535',
    ],
    'a group beyond all ids': [withPax({ gid: '4294967296' }, { path: 'file' }), 'belongs to id'],
    'a size beyond the end': [makeTar([{ path: 'file', data: 'x', size: 4 * MiB }]), 'the archive'],
    'half an archive': [makeTar([{ path: 'file', data: 'x'.repeat(4096) }]).subarray(0, 2000), 'the archive'],
    'a broken header': [
      Buffer.concat([makeTar([{ path: 'file' }]).subarray(0, 512), Buffer.alloc(512, 0x41)]),
      'the archive is no tar',
    ],
    'no archive at all': [Buffer.from('hello, world\n'.repeat(1000)), 'the archive is no tar'],
    nothing: [Buffer.alloc(0), 'the archive is no tar'],
    'a gzip': [gzipSync(makeTar([{ path: 'file' }])), 'the archive is compressed (gzip)'],
    'a zstd': [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0]), 'compressed (zstd)'],
    'a header of 2 MB': [
      withPax({ comment: 'x'.repeat(2 * MiB) }, { path: 'file', data: 'x' }),
      'the archive is no tar',
    ],
  };
  for (const [name, [tar, message]] of Object.entries(cases)) {
    test(name, async () => {
      const { unpack, nothingElseThan } = await useCanary();
      const rejected = expect(unpack(tar)).rejects;
      await rejected.toMatchObject({ code: 'invalid', message: expect.stringContaining(message) });
      await nothingElseThan([]);
    });
  }

  const bombs: Record<string, [limits: object, tar: Uint8Array, message: string]> = {
    'more entries than allowed': [
      { entries: 100 },
      makeTar(Array.from({ length: 101 }, (_, index) => ({ path: `f${index}` }))),
      'more than 100 entries',
    ],
    'more bytes than allowed': [
      { bytes: MiB },
      makeTar([
        { path: 'a', data: Buffer.alloc(MiB) },
        { path: 'b', data: 'x' },
      ]),
      'larger than 1048576 bytes',
    ],
    'a hole of four terabytes': [
      {},
      withPax(
        {
          'GNU.sparse.major': '0',
          'GNU.sparse.minor': '1',
          'GNU.sparse.name': 'hole',
          'GNU.sparse.size': String(2 ** 42),
          'GNU.sparse.numblocks': '1',
          'GNU.sparse.map': '0,1',
        },
        { path: 'hole', data: 'x' },
      ),
      'larger than 68719476736 bytes',
    ],
    'an island beyond the end': [
      {},
      withPax(
        {
          'GNU.sparse.major': '0',
          'GNU.sparse.minor': '1',
          'GNU.sparse.size': '10',
          'GNU.sparse.numblocks': '1',
          'GNU.sparse.map': `${2 ** 40},1`,
        },
        { path: 'island', data: 'x' },
      ),
      '',
    ],
  };
  for (const [name, [limits, tar, message]] of Object.entries(bombs)) {
    test(name, async () => {
      const { unpack, nothingElseThan } = await useCanary(limits);
      const rejected = expect(unpack(tar)).rejects;
      await rejected.toMatchObject({ code: 'invalid', message: expect.stringContaining(message) });
      await nothingElseThan([]);
    });
  }
});

describe('unpacked, harmless', () => {
  const cases: Record<string, [entries: TarEntry[], paths: string[]]> = {
    'an absolute path': [[{ path: '/etc/oncebox-was-here', data: 'x' }], ['etc', 'etc/oncebox-was-here']],
    'a link to /etc, written through': [
      [link('out', '/etc'), { path: 'out/oncebox-was-here', data: 'x' }],
      ['etc', 'etc/oncebox-was-here', 'out'],
    ],
    'a link upwards, written through': [
      [link('out', '../../../canary'), { path: 'out/file', data: 'dead' }],
      ['canary', 'canary/file', 'out'],
    ],
    'a link that a file of its name replaces': [
      [link('out', '../canary'), { path: 'out', data: 'dead' }],
      ['out'],
    ],
    'links that make a long way': [
      [link('a', '/proc/self/root'), link('b', 'a/../../..'), { path: 'b/etc/oncebox-was-here', data: 'x' }],
      ['a', 'b', 'etc', 'etc/oncebox-was-here', 'proc', 'proc/self', 'proc/self/root'],
    ],
    'a size below zero': [[{ path: 'file', size: -512 }], ['file']],
    'names with control characters': [[{ path: 'new\nline\x1b[2J', data: 'x' }], ['new\nline\x1b[2J']],
    'a directory as deep as allowed': [
      [{ path: `${'d/'.repeat(255)}file` }],
      [...Array.from({ length: 255 }, (_, i) => 'd/'.repeat(i + 1).slice(0, -1)), `${'d/'.repeat(255)}file`],
    ],
    'a character device 0:0, which is no whiteout of ours': [
      [{ path: 'hidden', type: 'CharacterDevice' }, { path: 'file' }],
      ['file'],
    ],
  };
  for (const [name, [entries, paths]] of Object.entries(cases)) {
    test(name, async () => {
      const { layersDir, unpack, nothingElseThan } = await useCanary();
      const layer = await unpack(makeTar(entries));
      expect(Object.keys(await treeOf(join(layersDir, layer.name))).sort()).toEqual(paths.sort());
      await nothingElseThan([layer.name]);
    });
  }

  test('attributes that are not of users are left out, and those of users are kept', async () => {
    const { layersDir, unpack, nothingElseThan } = await useCanary();
    const names = ['user.mine', 'trusted.mine', 'security.selinux', 'system.posix_acl_access'];
    const records = Object.fromEntries(names.map((name) => [`SCHILY.xattr.${name}`, 'y']));
    const layer = await unpack(withPax(records, { path: 'file', data: 'x' }));
    const tree = await treeOf(join(layersDir, layer.name));
    expect(tree.file?.xattrs).toEqual({ 'user.mine': '79' });
    await nothingElseThan([layer.name]);
  });

  test('a link in the store that stands for a layer leads nowhere', async () => {
    const { layersDir, unpack, unpacker, nothingElseThan } = await useCanary();
    await symlink('/etc', join(layersDir, 'e'.repeat(64)));
    const rejected = expect(unpack(makeTar([hard('link', 'passwd')]), ['e'.repeat(64)])).rejects;
    await rejected.toMatchObject({
      code: 'lost',
      message: expect.stringContaining('cannot open a layer below'),
    });
    await expect(unpacker.remove('e'.repeat(64))).rejects.toThrow();
    await rm(join(layersDir, 'e'.repeat(64)));
    await nothingElseThan([]);
  });
});

describe('interrupted', () => {
  /** The beginning of a large file; the rest when `resume` is called, or never. */
  function slowTar(bytes = 8 * MiB) {
    const tar = makeTar([
      { path: 'd/', type: 'Directory' },
      { path: 'd/file', data: Buffer.alloc(bytes, 7) },
    ]);
    const stream = new PassThrough();
    stream.write(tar.subarray(0, tar.length / 2));
    return {
      request: { diffId: digestOf(tar), chain: [], lowers: [] },
      stream,
      resume: () => stream.end(tar.subarray(tar.length / 2)),
    };
  }

  /** Resolves when half of the tar is on disk. */
  async function halfDone({ layersDir, names }: TestLayers): Promise<string> {
    return vi.waitFor(async () => {
      const name = (await names()).find((found) => found.startsWith('.unpacking-')) as string;
      const { size } = await lstat(join(layersDir, name, 'd', 'file'));
      if (size < 3 * MiB) throw new Error('not yet');
      return name;
    });
  }

  test('by its caller: it rejects with his reason, leaving nothing', async () => {
    const layers = await useCanary();
    const { request, stream } = slowTar();
    const abort = new AbortController();
    const unpacking = layers.unpacker.unpack({ ...request, signal: abort.signal }, stream);
    const rejected = expect(unpacking).rejects.toThrow('changed my mind');
    await halfDone(layers);
    abort.abort(new Error('changed my mind'));
    await rejected;
    expect(stream.destroyed).toBe(true);
    await layers.nothingElseThan([]);
  });

  test('by its source: it rejects with the error of that', async () => {
    const layers = await useCanary();
    const { request, stream } = slowTar();
    const rejected = expect(layers.unpacker.unpack(request, stream)).rejects.toThrow('the registry hung up');
    await halfDone(layers);
    stream.destroy(new Error('the registry hung up'));
    await rejected;
    await layers.nothingElseThan([]);
  });

  test('by bytes that are not those asked for', async () => {
    const layers = await useCanary();
    const tar = makeTar([{ path: 'file', data: 'other' }]);
    const rejected = expect(
      layers.unpacker.unpack({ diffId: 'a'.repeat(64), chain: [], lowers: [] }, Readable.from([tar])),
    ).rejects;
    await rejected.toMatchObject({ code: 'invalid', message: expect.stringContaining(digestOf(tar)) });
    await layers.nothingElseThan([]);
  });

  test('by a source that gives nothing any more', async () => {
    const layers = await useCanary({ stallMs: 100 });
    const { request, stream } = slowTar();
    const rejected = expect(layers.unpacker.unpack(request, stream)).rejects;
    await rejected.toMatchObject({ code: 'invalid', message: expect.stringContaining('for 100 ms') });
    await layers.nothingElseThan([]);
  });

  test('by SIGKILL of the process that unpacks', async () => {
    const layers = await useCanary();
    const { request, stream } = slowTar();
    const rejected = expect(layers.unpacker.unpack(request, stream)).rejects;
    await halfDone(layers);
    const pids = await descendants(layers.launcher.pid);
    expect(pids).toHaveLength(1);
    process.kill(pids[0] as number, 'SIGKILL');
    await rejected.toMatchObject({ code: 'lost', message: expect.stringContaining('signal 9') });
    await layers.nothingElseThan([]);
  });

  test('by the death of its caller, before the end and after it', async () => {
    const layers = await useCanary();
    const tar = makeTar([{ path: 'd/file', data: Buffer.alloc(MiB) }]);
    for (const length of [tar.length / 2, tar.length]) {
      const connection = await LayerConnection.open(layers.launcher.socket);
      connection.send(frameType.UNPACK, encodeStrings(['', '1000000000', '10', '10000']));
      await connection.answer(frameType.READY);
      await connection.write(tar.subarray(0, length), new AbortController().signal);
      if (length === tar.length) {
        connection.end();
        await connection.answer(frameType.UNPACKED);
        expect(await layers.names()).toHaveLength(2);
      }
      connection.close();
      await vi.waitFor(async () => expect(await layers.names()).toEqual(['canary']));
    }
    await layers.nothingElseThan([]);
  });

  test('by SIGKILL of the launcher: no process stays, and the next launcher removes what is left', async () => {
    const layers = await useLayers();
    const { request, stream } = slowTar();
    const rejected = expect(layers.unpacker.unpack(request, stream)).rejects;
    const name = await halfDone(layers);
    const [pid] = await descendants(layers.launcher.pid);
    // One that lives and has the same store does not touch it.
    const other = await startLauncher(await mkdirIn(layers.dir, 'other'), layers.layersDir);
    onTestFinished(() => other.stop());
    expect(await layers.names()).toEqual([name]);
    await layers.launcher.stop('SIGKILL');
    await rejected.toMatchObject({ code: 'lost' });
    await vi.waitFor(async () => expect(await isAlive(pid as number)).toBe(false));
    const next = await startLauncher(await mkdirIn(layers.dir, 'next'), layers.layersDir);
    onTestFinished(() => next.stop());
    await vi.waitFor(async () => expect(await layers.names()).toEqual([]));
    const again = slowTar();
    again.resume();
    const unpacker = openLayerUnpacker({ launcherSocket: next.socket, layersDir: layers.layersDir });
    expect((await unpacker.unpack(again.request, again.stream)).entries).toBe(2);
  });

  test('by a full disk, in bytes or in inodes', async () => {
    const layers = await useLayers();
    const { dir } = layers;
    const small = await mkdirIn(dir, 'small');
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2m,nr_inodes=200', 'tmpfs', small]);
    onTestFinished(async () => void (await run('umount', [small])));
    const launcher = await startLauncher(await mkdirIn(dir, 'second'), small);
    onTestFinished(() => launcher.stop());
    const unpacker = openLayerUnpacker({ launcherSocket: launcher.socket, layersDir: small });
    const unpack = (tar: Uint8Array) =>
      unpacker.unpack({ diffId: digestOf(tar), chain: [], lowers: [] }, Readable.from([tar]));
    const fills = {
      data: makeTar([{ path: 'small' }, { path: 'large', data: Buffer.alloc(4 * MiB, 1) }]),
      inodes: makeTar(
        Array.from({ length: 300 }, (_, i) => ({ path: `d${i}/`, type: 'Directory' as const })),
      ),
    };
    for (const tar of Object.values(fills)) {
      const rejected = expect(unpack(tar)).rejects;
      await rejected.toMatchObject({ code: 'full', message: expect.stringContaining('is full') });
      expect(await readdir(small)).toEqual([]);
      expect((await unpack(makeTar([{ path: 'small', data: 'x' }]))).entries).toBe(1);
      await unpacker.remove(digestOf(makeTar([{ path: 'small', data: 'x' }])));
    }
  });

  test('by too many at once: a clear error, and room again when one is done', async () => {
    const layers = await useLayers();
    const slow = Array.from({ length: 16 }, () => slowTar());
    const abort = new AbortController();
    const unpackings = slow.map(({ request, stream }) =>
      layers.unpacker.unpack({ ...request, signal: abort.signal }, stream),
    );
    const settled = Promise.allSettled(unpackings);
    await vi.waitFor(async () => expect(await layers.names()).toHaveLength(16));
    const small = makeTar([{ path: 'small' }]);
    await expect(layers.unpack(small)).rejects.toThrow('too many layers are unpacked');
    abort.abort(new Error('enough'));
    await settled;
    expect((await layers.unpack(small)).entries).toBe(1);
  });
});

async function mkdirIn(dir: string, name: string): Promise<string> {
  await mkdir(join(dir, name));
  return join(dir, name);
}

/** What only waits to be reaped by the machine's init is dead. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return !/\) Z/.test(stat);
}
