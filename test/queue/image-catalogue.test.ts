import { expect, test, vi } from 'vitest';
import { createImageCatalogue, type ImageAnnouncer } from '../../services/queue/image-catalogue.ts';
import { announce, describedImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const app = describedImage('localhost/app:1', { Cmd: ['/app'] });
const other = describedImage('localhost/app:1', { Cmd: ['/other'] });

async function announced(
  images: Parameters<typeof announce>[1],
  work: (announcer: ImageAnnouncer) => Promise<void>,
  node?: string,
) {
  const announcer = await announce(redis.redis, images, node);
  try {
    await work(announcer);
  } finally {
    await announcer.leave();
  }
}

test('an image is found by name, by digest and by name with digest', async () => {
  await announced([app], async () => {
    const catalogue = createImageCatalogue(redis.redis);
    for (const name of ['app:1', 'localhost/app:1'])
      expect(await catalogue.resolve(name)).toMatchObject({ ...app, config: { Cmd: ['/app'] } });
    for (const name of [app.digest, `app:1@${app.digest}`, `registry.example/x@${app.digest}`])
      expect(await catalogue.resolve(name)).toMatchObject({ digest: app.digest, reference: name });
  });
});

test('an image without a name is found by its digest', async () => {
  await announced([{ ...app, reference: null }], async () => {
    const catalogue = createImageCatalogue(redis.redis);
    expect(await catalogue.resolve(app.digest)).toMatchObject({ digest: app.digest });
    await expect(catalogue.resolve('app:1')).rejects.toMatchObject({ code: 'image_not_found' });
  });
});

test("this platform's own names come before Docker Hub's, whichever node has them", async () => {
  const hub = describedImage('docker.io/library/app:1', { Cmd: ['/hub'] });
  await announced([hub], async () => {
    const catalogue = createImageCatalogue(redis.redis);
    expect((await catalogue.resolve('app:1')).digest).toBe(hub.digest);
    await announced(
      [app],
      async () => expect((await catalogue.resolve('app:1')).digest).toBe(app.digest),
      'z-node',
    );
  });
});

test('a name that moves is followed, and the digest it left is still found while a node has it', async () => {
  const images = [app];
  await announced(images, async (announcer) => {
    const catalogue = createImageCatalogue(redis.redis);
    expect((await catalogue.resolve('app:1')).digest).toBe(app.digest);
    images.splice(0, 1, other);
    await announcer.update();
    expect((await catalogue.resolve('app:1')).digest).toBe(other.digest);
    await expect(catalogue.resolve(app.digest)).rejects.toMatchObject({ code: 'image_not_found' });
  });
});

test('without any node that is unavailable, and not unknown', async () => {
  const catalogue = createImageCatalogue(redis.redis);
  await expect(catalogue.resolve('app:1')).rejects.toMatchObject({ code: 'unavailable' });
  await announced([], async () =>
    expect(createImageCatalogue(redis.redis).resolve('app:1')).rejects.toMatchObject({ code: 'unavailable' }),
  );
});

test('what Redis has lost is announced again with the next beat', async () => {
  await announced([app], async () => {
    await redis.redis.flushall();
    const catalogue = createImageCatalogue(redis.redis);
    await vi.waitFor(
      async () => expect(await catalogue.resolve('app:1')).toMatchObject({ digest: app.digest }),
      { timeout: 30_000 },
    );
  });
});

test('a node that leaves takes its names with it', async () => {
  await announced([app], async () => {});
  await announced(
    [other],
    async () =>
      expect(createImageCatalogue(redis.redis).resolve(app.digest)).rejects.toMatchObject({
        code: 'image_not_found',
      }),
    'another',
  );
});
