import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../runtime/image/store.ts';
import { packCodeLayer } from '../../services/registry/code-layer.ts';
import { makeImage, makeLayer } from './make-image.ts';
import { makeTar } from './make-tar.ts';
import { useStore } from './use-store.ts';

const layer = packCodeLayer([
  { path: 'index.mjs', data: Buffer.from('export const handler = () => 1;') },
  { path: 'bin/tool', data: Buffer.from('#!/bin/sh\n'), executable: true },
]);
const code = makeImage([
  { tar: layer.tar, blob: layer.tar, mediaType: 'application/vnd.oci.image.layer.v1.tar' },
]);
const sourceOf = ({ manifest, config, blobs }: ReturnType<typeof makeImage>, reference?: string) => ({
  manifestJson: manifest.toString(),
  configJson: config.toString(),
  blobs,
  reference,
});

describe('ensuring a layer', () => {
  test('a layer is unpacked under its digest, readable by others whatever the umask, writable by none', async () => {
    const { dir, store } = await useStore();
    await store.ensureLayer(layer.digest, async () => layer.tar);
    const root = join(dir, 'layers', layer.digest, 'function');
    expect(await store.hasLayer(layer.digest)).toBe(true);
    expect(await readFile(join(root, 'index.mjs'), 'utf8')).toBe('export const handler = () => 1;');
    expect((await stat(join(root, 'index.mjs'))).mode & 0o7777).toBe(0o644);
    expect((await stat(join(root, 'bin/tool'))).mode & 0o7777).toBe(0o755);
    expect((await stat(join(dir, 'layers', layer.digest))).mode & 0o7777).toBe(0o755);
  });

  test('many who want one layer fetch it once, and a layer that is there is not fetched at all', async () => {
    const { store, content } = await useStore();
    let fetches = 0;
    const fetchTar = async () => {
      fetches += 1;
      return layer.tar;
    };
    await Promise.all(Array.from({ length: 20 }, () => store.ensureLayer(layer.digest, fetchTar)));
    await store.ensureLayer(layer.digest, fetchTar);
    expect(fetches).toBe(1);
    expect((await content()).layers).toEqual([layer.digest]);
  });

  test('a tar with another digest is refused and leaves nothing, and the right one still works', async () => {
    const { store, content } = await useStore();
    const other = packCodeLayer([{ path: 'x', data: Buffer.from('y') }]);
    await expect(store.ensureLayer(layer.digest, async () => other.tar)).rejects.toThrow(other.digest);
    await expect(store.ensureLayer(layer.digest, async () => gzipSync(layer.tar))).rejects.toThrow('digest');
    expect((await content()).layers).toEqual([]);
    await store.ensureLayer(layer.digest, async () => layer.tar);
    expect((await content()).layers).toEqual([layer.digest]);
  });

  test('a failed fetch is reported to all who wait, and the next caller tries again', async () => {
    const { store } = await useStore();
    const fail = async () => Promise.reject(new Error('redis is away'));
    const waiting = [store.ensureLayer(layer.digest, fail), store.ensureLayer(layer.digest, fail)];
    for (const promise of await Promise.allSettled(waiting)) expect(promise.status).toBe('rejected');
    await store.ensureLayer(layer.digest, async () => layer.tar);
    expect(await store.hasLayer(layer.digest)).toBe(true);
  });

  test('a layer that takes others for granted is no layer of code', async () => {
    const { store, content } = await useStore();
    const tar = makeTar([{ path: 'function/no-parent', data: 'x' }]);
    const { diffIds } = makeImage([{ tar, blob: tar, mediaType: '' }]);
    const hex = (diffIds[0] ?? '').slice(7);
    await expect(store.ensureLayer(hex, async () => tar)).rejects.toMatchObject({ code: 'invalid_image' });
    expect((await content()).layers).toEqual([]);
  });

  test('a name that is no digest never reaches the disk, and a store opened for reading unpacks nothing', async () => {
    const { dir, store } = await useStore();
    await expect(store.ensureLayer('../../etc', async () => layer.tar)).rejects.toThrow('not a SHA-256');
    const reader = openStore(dir);
    await expect(reader.ensureLayer(layer.digest, async () => layer.tar)).rejects.toThrow(
      'opened for reading',
    );
  });
});

describe('adding an image from parts', () => {
  test('it is there under its digest, as often as it is added, and a function can push it', async () => {
    const { store, content } = await useStore();
    const image = await store.addImage(sourceOf(code));
    expect(image).toMatchObject({ digest: code.digest, reference: null, layers: [layer.digest] });
    const before = await content();
    expect((await store.addImage({ ...sourceOf(code), blobs: new Map() })).digest).toBe(code.digest);
    expect(await content()).toEqual(before);
    expect(await store.list()).toHaveLength(1);
  });

  test('a part that is neither given nor there, and a damaged one, are refused and leave nothing', async () => {
    const { store, content } = await useStore();
    const missing = { ...sourceOf(code), blobs: new Map<string, Uint8Array>() };
    await expect(store.addImage(missing)).rejects.toMatchObject({ code: 'invalid_image' });
    const damaged = new Map([...code.blobs.keys()].map((digest) => [digest, Buffer.alloc(layer.tar.length)]));
    await expect(store.addImage({ ...sourceOf(code), blobs: damaged })).rejects.toThrow('damaged');
    await expect(store.addImage({ ...sourceOf(code), configJson: '{}' })).rejects.toThrow('configuration');
    expect(await content()).toEqual({ blobs: [], layers: [], scratch: [] });
  });
});

describe('looking images up', () => {
  test('short names mean what is here first, and a digest means itself; what is not here is said', async () => {
    const { store } = await useStore();
    await store.addImage(sourceOf(code, 'tool'));
    for (const name of ['tool', 'tool:latest', 'localhost/tool', code.digest, `anything@${code.digest}`]) {
      expect((await store.resolve(name)).digest).toBe(code.digest);
    }
    for (const name of ['tool:2', 'docker.io/library/tool', `sha256:${'0'.repeat(64)}`]) {
      await expect(store.resolve(name)).rejects.toMatchObject({ code: 'image_not_found' });
    }
    await expect(store.resolve('Not A Name')).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('one whose layer somebody deleted is refused with what to do, and adding it again repairs it', async () => {
    const { dir, store } = await useStore();
    await store.addImage(sourceOf(code, 'tool'));
    await rm(join(dir, 'layers', layer.digest), { recursive: true });
    const reader = openStore(dir);
    await expect(reader.resolve('tool')).rejects.toThrow(
      `layer ${layer.digest} is not unpacked; pull it again`,
    );
    await store.addImage({ ...sourceOf(code, 'tool'), blobs: new Map() });
    expect((await store.resolve('tool')).layers).toEqual([layer.digest]);
  });

  test('a reader sees what another process adds, and is told', async () => {
    const { dir, store } = await useStore();
    const reader = openStore(dir);
    expect(await reader.list()).toEqual([]);
    let changes = 0;
    reader.onChange(() => {
      changes += 1;
    });
    await store.addImage(sourceOf(code, 'tool'));
    expect((await reader.resolve('tool')).digest).toBe(code.digest);
    expect(changes).toBe(1);
  });

  test('stores of the first releases, with short names, are understood', async () => {
    const { dir, store } = await useStore();
    await store.addImage(sourceOf(code, 'tool'));
    const index = join(dir, 'oci/index.json');
    await writeFile(index, (await readFile(index, 'utf8')).replace('localhost/tool:latest', 'tool'));
    expect((await openStore(dir).resolve('tool')).reference).toBe('localhost/tool:latest');
  });
});

test('a second process that would change the store is refused while the first is at it, and told who', async () => {
  const { dir, store } = await useStore();
  const script = `
    import { createWriterLock } from ${JSON.stringify(join(import.meta.dirname, '../../runtime/image/writer-lock.ts'))};
    await createWriterLock(process.argv[1]).hold();
    console.log('held');
    setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(other.stdout, 'data');
  await expect(store.addImage(sourceOf(code))).rejects.toMatchObject({
    code: 'image_in_use',
    message: expect.stringContaining(`(${other.pid})`),
  });
  other.kill('SIGKILL');
  await once(other, 'exit');
  expect((await store.addImage(sourceOf(code))).digest).toBe(code.digest);
});

test('sweeping removes what dead processes left half-done, and nothing else', async () => {
  const { dir, store } = await useStore();
  await store.addImage(sourceOf(code, 'tool'));
  const child = spawn('true');
  await once(child, 'exit');
  const ours = `${process.pid}-1`;
  await mkdir(join(dir, 'scratch', `${child.pid}-1/blobs`), { recursive: true });
  await mkdir(join(dir, 'scratch', ours));
  await writeFile(join(dir, 'oci', `index.json.${child.pid}-aa.tmp`), '');
  expect(await store.sweep()).toBe(2);
  expect(await readdir(join(dir, 'scratch'))).toEqual([ours]);
  expect((await readdir(join(dir, 'oci'))).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
});

test('sizes are those on disk, and what two images have in common is shared', async () => {
  const { store } = await useStore();
  const common = makeLayer([{ path: 'common', data: 'c'.repeat(100_000) }]);
  const one = makeImage([common, makeLayer([{ path: 'one', data: '1'.repeat(50_000) }])]);
  const two = makeImage([common, makeLayer([{ path: 'two', data: '2'.repeat(20_000) }])]);
  await store.addImage(sourceOf(one, 'one'));
  expect((await store.summaries())[0]).toMatchObject({ reference: 'localhost/one:latest', sharedBytes: 0 });
  await store.addImage(sourceOf(two, 'two'));
  await store.tag('two', 'two:again');
  const [first, again, second] = await store.summaries();
  expect(first?.sharedBytes).toBe(second?.sharedBytes);
  expect(first?.sharedBytes).toBeGreaterThanOrEqual(100_000);
  expect(first?.uniqueBytes).toBeGreaterThanOrEqual(50_000);
  expect(second?.uniqueBytes).toBeLessThan(50_000);
  expect(first?.sizeBytes).toBe((first?.sharedBytes ?? 0) + (first?.uniqueBytes ?? 0));
  expect(again).toEqual({ ...second, reference: 'localhost/two:again' });
  expect((await store.inspect('two')).references).toEqual(['localhost/two:latest', 'localhost/two:again']);
});

test('history pairs steps with layers, newest first; an image without a history has its layers', async () => {
  const { store } = await useStore();
  const layers = ['a', 'b'].map((name) => makeLayer([{ path: name, data: name }]));
  const history = [
    { created: '2020-01-01T00:00:00Z', created_by: 'ADD a' },
    { created_by: 'ENV x=y', empty_layer: true },
    { created_by: 'ADD b', comment: 'last' },
  ];
  const told = makeImage(layers, { history });
  await store.addImage(sourceOf(told, 'told'));
  expect(await store.history('told')).toEqual([
    {
      layer: told.diffIds[1],
      created: null,
      createdBy: 'ADD b',
      comment: 'last',
      sizeBytes: expect.any(Number),
    },
    { layer: null, created: null, createdBy: 'ENV x=y', comment: '', sizeBytes: 0 },
    {
      layer: told.diffIds[0],
      created: '2020-01-01T00:00:00Z',
      createdBy: 'ADD a',
      comment: '',
      sizeBytes: expect.any(Number),
    },
  ]);
  await store.addImage(sourceOf(makeImage(layers), 'silent'));
  expect((await store.history('silent')).map(({ layer }) => layer)).toEqual(told.diffIds.toReversed());
});
