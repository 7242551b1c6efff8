import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { StoreUsage } from '../../runtime/image/store.ts';
import { type MadeImage, makeImage, makeLayer } from './make-image.ts';
import { useStore } from './use-store.ts';

const common = makeLayer([{ path: 'common', data: 'common' }]);
const one = makeImage([common, makeLayer([{ path: 'one', data: 'x'.repeat(40_000) }])]);
const two = makeImage([common, makeLayer([{ path: 'two', data: 'two' }])]);
const nothing = { blobs: [], layers: [], scratch: [] };
const add = (image: MadeImage, reference?: string) => ({
  manifestJson: image.manifest.toString(),
  configJson: image.config.toString(),
  blobs: image.blobs,
  reference,
});

interface Use extends StoreUsage {
  sandboxes: Map<string, number>;
  draining: Set<string>;
  images: Set<string>;
  layers: Set<string>;
}

function createUse(): Use {
  const sandboxes = new Map<string, number>();
  const images = new Set<string>();
  const layers = new Set<string>();
  const draining = new Set<string>();
  return {
    sandboxes,
    draining,
    images,
    layers,
    sandboxesOn: (digest) => sandboxes.get(digest) ?? 0,
    pinned: async () => ({ images, layers }),
    async drain(digest) {
      sandboxes.delete(digest);
      draining.add(digest);
      return () => void draining.delete(digest);
    },
  };
}

describe('removing an image', () => {
  test('takes a name away, and with the last one all that no other image has', async () => {
    const { store, content } = await useStore();
    await store.addImage(add(one, 'one'));
    await store.addImage(add(two, 'two'));
    await store.tag('one', 'uno:1');
    expect(await store.remove('one', { force: false })).toEqual({
      untagged: ['localhost/one:latest'],
      deleted: [],
      freedBytes: 0,
    });
    const removal = await store.remove('uno:1', { force: false });
    expect(removal).toMatchObject({ untagged: ['localhost/uno:1'], deleted: [one.digest] });
    expect(removal.freedBytes).toBeGreaterThan(40_000);
    expect((await content()).layers).toEqual(two.diffIds.map((diffId) => diffId.slice(7)).sort());
    expect((await content()).blobs).toHaveLength(two.blobs.size);
    await expect(store.remove('one', { force: false })).rejects.toMatchObject({ code: 'image_not_found' });
    await store.remove('two', { force: false });
    expect(await content()).toEqual(nothing);
  });

  test('by digest takes all names away', async () => {
    const { store, content } = await useStore();
    await store.addImage(add(one, 'one'));
    await store.tag('one', 'uno');
    const { untagged } = await store.remove(one.digest, { force: false });
    expect(untagged.sort()).toEqual(['localhost/one:latest', 'localhost/uno:latest']);
    expect(await content()).toEqual(nothing);
  });

  test('is refused while sandboxes stand on it, unless forced: then after they are drained', async () => {
    const use = createUse();
    const { store } = await useStore(use);
    await store.addImage(add(one, 'one'));
    use.sandboxes.set(one.digest, 2);
    await expect(store.remove('one', { force: false })).rejects.toMatchObject({
      code: 'image_in_use',
      message: expect.stringContaining('2 sandboxes'),
    });
    expect((await store.resolve('one')).digest).toBe(one.digest);
    expect((await store.remove('one', { force: true })).deleted).toEqual([one.digest]);
    expect(use.sandboxes.size).toBe(0);
    expect(use.draining.size, 'it may come back').toBe(0);
  });

  test('is refused for a name of the platform, and so is giving that name to another', async () => {
    const use = createUse();
    const { store } = await useStore({ ...use, reserved: new Set(['localhost/one:latest']) });
    await expect(store.addImage(add(one, 'one'))).rejects.toMatchObject({ code: 'image_in_use' });
    await store.addImage(add(one, 'uno'));
    await expect(store.tag('uno', 'one')).rejects.toMatchObject({
      code: 'image_in_use',
      message: expect.stringContaining('localhost/one:latest'),
    });
    expect((await store.remove('uno', { force: false })).deleted, 'the control').toEqual([one.digest]);
  });

  test('is refused while a function stands on it, forced or not', async () => {
    const use = createUse();
    const { store } = await useStore(use);
    await store.addImage(add(one, 'one'));
    use.images.add(one.digest);
    for (const force of [false, true]) {
      await expect(store.remove('one', { force })).rejects.toMatchObject({ code: 'image_in_use' });
    }
    expect(await store.list()).toHaveLength(1);
  });
});

describe('pruning', () => {
  test('removes what has no name and no use, says what that was, and leaves the rest', async () => {
    const use = createUse();
    const { store, content } = await useStore(use);
    await store.addImage(add(two, 'two'));
    const before = await content();
    await store.addImage(add(one));
    const loose = makeLayer([{ path: 'loose', data: 'loose' }]);
    const pinned = makeLayer([{ path: 'pinned', data: 'pinned' }]);
    const hexes = [loose, pinned].map(
      ({ tar }) => makeImage([{ tar, blob: tar, mediaType: '' }]).diffIds[0]?.slice(7) ?? '',
    );
    await store.ensureLayer(hexes[0] ?? '', async () => loose.tar);
    await store.ensureLayer(hexes[1] ?? '', async () => pinned.tar);
    use.layers.add(hexes[1] ?? '');
    use.images.add(one.digest);
    expect(await store.prune()).toMatchObject({ images: [], layers: [`sha256:${hexes[0]}`], blobs: [] });

    use.images.clear();
    const usage = await store.diskUsage();
    expect(usage.images).toMatchObject({
      count: 2,
      reclaimableBytes: one.manifest.length + one.config.length,
    });
    expect(usage.layers.count).toBe(4);
    expect(usage.layers.reclaimableBytes).toBeGreaterThan(40_000);
    expect(usage.blobs).toMatchObject({ count: 3 });
    expect(usage.freeBytes).toBeGreaterThan(0);
    const pruned = await store.prune();
    expect(pruned).toMatchObject({ images: [one.digest], layers: [one.diffIds[1]] });
    const { images, layers, blobs } = usage;
    expect(pruned.freedBytes).toBe(
      images.reclaimableBytes + layers.reclaimableBytes + blobs.reclaimableBytes,
    );
    expect(await content()).toEqual({ ...before, layers: [...before.layers, hexes[1]].sort() });
    expect(await store.prune()).toEqual({ images: [], layers: [], blobs: [], freedBytes: 0 });
  });
});

test('an image whose manifest is lost is none, is pruned, and can be added again', async () => {
  const { dir, store, content } = await useStore();
  await store.addImage(add(one, 'one'));
  await rm(join(dir, 'oci/blobs/sha256', one.digest.slice(7)));
  const reader = (await useStore(undefined, dir)).store;
  await expect(reader.resolve('one')).rejects.toMatchObject({ code: 'image_not_found' });
  expect((await reader.prune()).layers.sort()).toEqual([...one.diffIds].sort());
  expect(await content()).toEqual(nothing);
  expect((await reader.addImage(add(one, 'one'))).digest).toBe(one.digest);
});
