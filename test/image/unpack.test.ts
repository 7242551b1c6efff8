import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, mkdtemp, open, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { chainDigest } from '../../runtime/image/layer-unpacker.ts';
import { digestOf, stackedTree, treeOf, useUnpackedLayers } from '../support/unpacked-layers.ts';
import { makeTar } from './make-tar.ts';

const run = promisify(execFile);
const makeImage = resolve(import.meta.dirname, 'unpack/make-image.py');

async function useDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'oncebox-unpack-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  return dir;
}

test('an image of ten layers, stacked, is what umoci unpacks', async () => {
  const { unpacker, layersDir } = await useUnpackedLayers();
  const dir = await useDirectory();
  const image = join(dir, 'image');
  const diffIds: string[] = JSON.parse((await run('python3', [makeImage, image])).stdout);
  await run('umoci', ['unpack', '--image', `${image}:latest`, join(dir, 'bundle')]);
  const wanted = await treeOf(join(dir, 'bundle', 'rootfs'), 0);

  const lowers: string[] = [];
  for (const [index, diffId] of diffIds.entries()) {
    const blob = createReadStream(join(image, 'blobs', 'sha256', diffId));
    const { name } = await unpacker.unpack({ diffId, chain: diffIds.slice(0, index), lowers }, blob);
    lowers.unshift(name);
  }
  await mkdir(join(dir, 'mount'));
  const dirs = lowers.map((name) => join(layersDir, name));
  const unpacked = await stackedTree(dirs, join(dir, 'mount'));

  // Where an archive does not say when a directory was made or changed, umoci says now.
  for (const tree of [wanted, unpacked])
    for (const path of ['home/app', 'home/app/deep', 'home/app/deep/er']) delete tree[path]?.mtime;
  expect(Object.keys(wanted).length).toBeGreaterThan(75);
  expect(unpacked).toEqual(wanted);
  expect(await treeOf(dirs.at(-1) as string)).toMatchObject({ 'usr/bin/su': { mode: '0o104755' } });
  for (const form of ['0.0', '0.1', '1.0']) {
    const path = join(layersDir, lowers[4] as string, 'sparse', form);
    expect((await stat(path)).blocks * 512).toBeLessThan(100_000);
  }
});

test('a sparse file of the old GNU form, which umoci refuses, is what tar unpacks, holes and all', async () => {
  const { layersDir, unpack } = await useUnpackedLayers();
  const dir = await useDirectory();
  const file = await open(join(dir, 'islands'), 'w');
  for (let i = 0; i < 40; i++) await file.write(`island ${i}`, i * 1_000_000);
  await file.truncate(50_000_000);
  await file.utimes(1_600_000_000, 1_600_000_000); // the form has whole seconds only
  await file.close();
  const { stdout: tar } = await run(
    'tar',
    ['-cS', '--format=gnu', '--owner=0', '--group=0', '-C', dir, 'islands'],
    { encoding: 'buffer' },
  );
  const { name, diskBytes } = await unpack(tar);
  const { islands } = await treeOf(join(layersDir, name));
  expect(islands).toEqual((await treeOf(dir, 0)).islands);
  expect(diskBytes).toBeLessThan(500_000);
});

describe('one layer', () => {
  const directory = (path: string, mode = 0o755) => ({ path, type: 'Directory' as const, mode });

  test('its name is its digest, and it may be read by all and written by none of the services', async () => {
    const { layersDir, unpack } = await useUnpackedLayers();
    const tar = makeTar([directory('a/'), { path: 'a/file', data: 'x', mode: 0o640 }]);
    const { name, entries, skipped } = await unpack(tar);
    expect({ entries, skipped }).toEqual({ entries: 2, skipped: [] });
    expect((await stat(join(layersDir, name))).mode & 0o7777).toBe(0o755);
    const tree = await treeOf(join(layersDir, name));
    expect(tree).toMatchObject({ a: { uid: 0, gid: 0, mtime: 0 }, 'a/file': { mode: '0o100640' } });
  });

  test('it does not depend on the layers below as long as it says all itself, and on their whole chain where not', async () => {
    const { unpack, unpacker } = await useUnpackedLayers();
    const below = await unpack(makeTar([directory('opt/', 0o710)]));
    const whole = makeTar([directory('opt/'), { path: 'opt/file' }]);
    const part = makeTar([{ path: 'opt/file' }]);
    expect((await unpack(whole, [below.name])).name).toBe((await unpack(whole)).name);
    const above = await unpack(part, [below.name]);
    const alone = await unpack(part);
    expect(new Set([above.name, alone.name]).size).toBe(2);
    expect(alone.name).toBe(chainDigest([digestOf(part)]));
    await unpacker.remove(above.name);
    expect((await unpack(part, [below.name])).name).toBe(above.name);
  });

  test('parents that it takes for granted are as the uppermost layer that has them says', async () => {
    const { layersDir, unpack } = await useUnpackedLayers();
    const low = await unpack(
      makeTar([directory('a/', 0o700), directory('a/b/', 0o701), directory('c/', 0o702)]),
    );
    const middle = await unpack(makeTar([directory('a/', 0o711), { path: '.wh.c' }]), [low.name]);
    const high = makeTar([{ path: 'a/b/new' }, { path: 'c/new' }, { path: 'd/new' }]);
    const tree = await treeOf(join(layersDir, (await unpack(high, [middle.name, low.name])).name));
    const modes = ['a', 'a/b', 'c', 'd'].map((path) => tree[path]?.mode);
    expect(modes).toEqual(['0o40711', '0o40701', '0o40755', '0o40755']);
  });

  test('a parent below an opaque directory is a new one', async () => {
    const { layersDir, unpack } = await useUnpackedLayers();
    const low = await unpack(makeTar([directory('a/'), directory('a/b/', 0o700)]));
    const middle = await unpack(makeTar([directory('a/'), { path: 'a/.wh..wh..opq' }]), [low.name]);
    const tree = await treeOf(
      join(layersDir, (await unpack(makeTar([{ path: 'a/b/new' }]), [middle.name, low.name])).name),
    );
    expect(tree['a/b']?.mode).toBe('0o40755');
  });

  test('whiteouts are devices 0:0, and never of what the layer has itself, in whatever order', async () => {
    const { layersDir, unpack } = await useUnpackedLayers();
    const entries = [
      { path: 'file', data: 'x' },
      directory('dir/'),
      { path: 'dir/in', data: 'y' },
      { path: '.wh.file' },
      { path: '.wh.dir' },
      { path: '.wh.gone' },
    ];
    const opaque = { 'user.overlay.opaque': Buffer.from('y').toString('hex') };
    for (const order of [entries, [...entries.slice(3), ...entries.slice(0, 3)]]) {
      const tree = await treeOf(join(layersDir, (await unpack(makeTar(order))).name));
      expect(tree).toMatchObject({
        file: { size: 1 },
        dir: { mode: '0o40755', xattrs: opaque },
        'dir/in': { size: 1 },
        gone: { device: 0 },
      });
      expect(Object.keys(tree)).toHaveLength(4);
    }
  });

  test('what aufs left behind, device nodes and sockets are left out, and the latter named', async () => {
    const { layersDir, unpack } = await useUnpackedLayers();
    const tar = makeTar([
      directory('.wh..wh.plnk/'),
      { path: '.wh..wh.plnk/1.2', data: 'x' },
      { path: 'zero', type: 'CharacterDevice' },
      { path: 'disk', type: 'BlockDevice' },
      { path: 'file' },
    ]);
    const { name, skipped } = await unpack(tar);
    expect(skipped).toEqual(['zero', 'disk']);
    expect(Object.keys(await treeOf(join(layersDir, name)))).toEqual(['file']);
  });

  test('an empty archive is an empty layer', async () => {
    const { layersDir, unpack } = await useUnpackedLayers();
    expect(await treeOf(join(layersDir, (await unpack(Buffer.alloc(1024))).name))).toEqual({});
  });

  test('many who unpack one layer at once leave one', async () => {
    const { names, unpack } = await useUnpackedLayers();
    const tar = makeTar([directory('a/'), { path: 'a/file', data: 'x'.repeat(100_000) }]);
    const layers = await Promise.all(Array.from({ length: 8 }, () => unpack(tar)));
    expect(await names()).toEqual([layers[0]?.name]);
  });

  test('it is removed with all in it, however deep, and what is not there is no error', async () => {
    const { names, unpack, unpacker } = await useUnpackedLayers();
    const path = (depth: number) => Array.from({ length: depth }, (_, i) => `d${i}`).join('/');
    const dirs = Array.from({ length: 200 }, (_, i) => directory(`${path(i + 1)}/`));
    const files = Array.from({ length: 50 }, (_, i) => ({ path: `${path(i + 1)}/file`, data: 'x' }));
    const { name } = await unpack(makeTar([...dirs, ...files]));
    expect(await names()).toEqual([name]);
    await unpacker.remove(name);
    await unpacker.remove(name);
    expect(await names()).toEqual([]);
  });

  test('a name that is no layer is not removed', async () => {
    const { dir, layersDir, unpacker } = await useUnpackedLayers();
    await writeFile(join(dir, 'canary'), '');
    for (const name of ['..', '.', '', 'a'.repeat(63), `${'a'.repeat(64)}/..`, '.unpacking-x'])
      await expect(unpacker.remove(name)).rejects.toThrow("the layer's name is no digest");
    await symlink(dir, join(layersDir, 'a'.repeat(64)));
    await expect(unpacker.remove('a'.repeat(64))).rejects.toThrow("cannot open the layer's directory");
    expect((await lstat(join(dir, 'canary'))).isFile()).toBe(true);
  });
});
