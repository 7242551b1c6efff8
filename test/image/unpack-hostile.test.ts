import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { treeOf } from '../support/unpacked-layers.ts';
import { makeTar, type TarEntry } from './make-tar.ts';
import { useCanary } from './unpack/canary.ts';

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
    const names = [
      'user.mine',
      'trusted.mine',
      'security.selinux',
      'system.posix_acl_access',
      'user.overlay.origin',
    ];
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
