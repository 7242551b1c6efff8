import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openOciLayout } from '../../runtime/image/oci-layout.ts';
import { openStore } from '../../runtime/image/store.ts';
import { packCodeLayer } from '../../services/registry/code-layer.ts';
import { hostileEntries, makeTar, type TarEntry } from './make-tar.ts';

const layer = packCodeLayer([
  { path: 'index.mjs', data: Buffer.from('export const handler = () => 1;') },
  { path: 'bin/tool', data: Buffer.from('#!/bin/sh\n'), executable: true },
]);

async function useStore() {
  const dir = mkdtempSync(join(tmpdir(), 'oncebox-store-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  await mkdir(join(dir, 'layers'));
  return { dir, layers: join(dir, 'layers'), store: openStore(dir) };
}

const directory: TarEntry = { path: 'function/', type: 'Directory', mode: 0o755 };
const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('ensuring a layer', () => {
  test('a layer is unpacked under its digest, readable by others whatever the umask, writable by none', async () => {
    const { layers, store } = await useStore();
    const umask = process.umask(0o077);
    onTestFinished(() => void process.umask(umask));
    await store.ensureLayer(layer.digest, async () => layer.tar);
    const root = join(layers, layer.digest, 'function');
    expect(await store.hasLayer(layer.digest)).toBe(true);
    expect(await readFile(join(root, 'index.mjs'), 'utf8')).toBe('export const handler = () => 1;');
    expect((await stat(join(root, 'index.mjs'))).mode & 0o7777).toBe(0o644);
    expect((await stat(join(root, 'bin/tool'))).mode & 0o7777).toBe(0o755);
    expect((await stat(join(layers, layer.digest))).mode & 0o7777).toBe(0o755);
  });

  test('many who want one layer fetch it once, and a layer that is there is not fetched at all', async () => {
    const { layers, store } = await useStore();
    let fetches = 0;
    const fetchTar = async () => {
      fetches += 1;
      return layer.tar;
    };
    await Promise.all(Array.from({ length: 20 }, () => store.ensureLayer(layer.digest, fetchTar)));
    await store.ensureLayer(layer.digest, fetchTar);
    expect(fetches).toBe(1);
    expect(await readdir(layers)).toEqual([layer.digest]);
  });

  test('two processes that unpack one layer at once both succeed and leave one copy', async () => {
    const { dir, layers } = await useStore();
    const fetchTar = async () => layer.tar;
    await Promise.all([1, 2, 3].map(() => openStore(dir).ensureLayer(layer.digest, fetchTar)));
    expect(await readdir(layers)).toEqual([layer.digest]);
  });

  test('a tar with another digest is refused and leaves nothing, and the right one still works', async () => {
    const { layers, store } = await useStore();
    const other = packCodeLayer([{ path: 'x', data: Buffer.from('y') }]);
    await expect(store.ensureLayer(layer.digest, async () => other.tar)).rejects.toThrow(other.digest);
    expect(await readdir(layers)).toEqual([]);
    await store.ensureLayer(layer.digest, async () => layer.tar);
    expect(await readdir(layers)).toEqual([layer.digest]);
  });

  test('a failed fetch is reported to all who wait, and the next caller tries again', async () => {
    const { store } = await useStore();
    const fail = async () => Promise.reject(new Error('redis is away'));
    const waiting = [store.ensureLayer(layer.digest, fail), store.ensureLayer(layer.digest, fail)];
    for (const promise of await Promise.allSettled(waiting)) expect(promise.status).toBe('rejected');
    await store.ensureLayer(layer.digest, async () => layer.tar);
    expect(await store.hasLayer(layer.digest)).toBe(true);
  });

  for (const [name, entry] of Object.entries(hostileEntries)) {
    test(`a layer with ${name} is refused and leaves nothing`, async () => {
      const { layers, store } = await useStore();
      const control = makeTar([directory, { path: 'function/plain', data: 'x' }]);
      await store.ensureLayer(digestOf(control), async () => control);
      const tar = makeTar([directory, { path: 'function/plain', data: 'x' }, entry]);
      await expect(store.ensureLayer(digestOf(tar), async () => tar)).rejects.toThrow('cannot read layer');
      expect(await readdir(layers)).toEqual([digestOf(control)]);
    });
  }

  test('one path twice, a compressed layer and a cut one are refused', async () => {
    const { layers, store } = await useStore();
    const twice = makeTar([{ path: 'a' }, { path: 'a' }]);
    const cut = makeTar([{ path: 'a', data: 'x'.repeat(600) }]).subarray(0, 700);
    for (const tar of [twice, gzipSync(layer.tar), cut]) {
      await expect(store.ensureLayer(digestOf(tar), async () => tar)).rejects.toThrow();
    }
    expect(await readdir(layers)).toEqual([]);
  });

  test('a name that is no digest never reaches the disk', async () => {
    const { store } = await useStore();
    await expect(store.ensureLayer('../../etc', async () => layer.tar)).rejects.toThrow('not a SHA-256');
  });
});

test('sweeping removes what a dead process left half-unpacked, and nothing else', async () => {
  const { layers, store } = await useStore();
  await store.ensureLayer(layer.digest, async () => layer.tar);
  const child = spawn('true');
  await once(child, 'exit');
  const ours = `.unpacking-${process.pid}-1`;
  await mkdir(join(layers, `.unpacking-${child.pid}-1`, 'function'), { recursive: true });
  await mkdir(join(layers, ours));
  expect(await store.sweep()).toBe(1);
  expect((await readdir(layers)).sort()).toEqual([ours, layer.digest].sort());
});

test('a name that points at no image, and an image whose layer is gone, are refused with what to do', async () => {
  const { dir, store } = await useStore();
  const layout = openOciLayout(join(dir, 'oci'));
  await layout.init();
  await writeFile(join(dir, 'layer.tar'), layer.tar);
  const descriptor = await layout.addLayerFile(join(dir, 'layer.tar'));
  const architecture = 'amd64';
  await layout.addImage({
    reference: 'tiny',
    layers: [descriptor],
    architecture,
    env: [],
    workingDir: '/work',
  });

  await expect(store.resolve('other')).rejects.toThrow('no image named "other"');
  await expect(store.resolve('tiny')).rejects.toThrow(
    `layer ${layer.digest} is not unpacked; run "npm run setup"`,
  );
  await store.ensureLayer(layer.digest, async () => layer.tar);
  expect(await store.resolve('tiny')).toEqual({
    digest: expect.stringMatching(/^sha256:[a-f0-9]{64}$/),
    layers: [layer.digest],
  });
});
