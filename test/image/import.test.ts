import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { mediaTypes } from '../../runtime/image/oci-schemas.ts';
import { type MadeImage, makeImage, makeLayer, run, useTask, writeLayout } from './make-image.ts';
import { type TestStore, useStore } from './use-store.ts';

const bottom = makeLayer([{ path: 'bottom', data: 'b'.repeat(20_000) }]);
const one = makeImage([bottom, makeLayer([{ path: 'one', data: '1' }])], { config: { Cmd: ['/one'] } });
const two = makeImage([bottom, makeLayer([{ path: 'two', data: '2' }])], { docker: true });
const nothing = { blobs: [], layers: [], scratch: [] };

/** A tar of an OCI layout with these images. */
async function archiveOf({ dir }: TestStore, images: Record<string, MadeImage>): Promise<Buffer> {
  await writeLayout(join(dir, 'made'), images);
  await run('tar', ['-cf', join(dir, 'made.tar'), '-C', join(dir, 'made'), '.']);
  return readFile(join(dir, 'made.tar'));
}

describe('a tar of an OCI layout', () => {
  test('brings its image as it is, gzipped or not, and says how far it is', async () => {
    const use = await useStore();
    const archive = await archiveOf(use, { 'team/one:3': one });
    for (const bytes of [archive, gzipSync(archive)]) {
      const task = useTask();
      const image = await use.store.importArchive(Readable.from([bytes]), {}, task);
      expect(image).toMatchObject({
        digest: one.digest,
        reference: 'localhost/team/one:3',
        config: { Cmd: ['/one'] },
      });
      expect(task.events).toContainEqual({
        type: 'progress',
        doneBytes: bytes.length,
        totalBytes: bytes.length,
      });
    }
    expect((await use.content()).scratch).toEqual([]);
  });

  test('that unpacks to a thousand times its size is refused, and so is one that is gzipped twice', async () => {
    const use = await useStore();
    const archive = await archiveOf(use, { one });
    // 300 MB of zeros behind a whole archive: no reader of tars looks there, but each would unpack it.
    const bomb = gzipSync(Buffer.concat([archive, Buffer.alloc(300_000_000)]), { level: 1 });
    const importing = (bytes: Buffer) => use.store.importArchive(Readable.from([bytes]), {}, useTask());
    await expect(importing(bomb)).rejects.toMatchObject({
      code: 'invalid_image',
      message: expect.stringContaining('unpacks to more than'),
    });
    await expect(importing(gzipSync(gzipSync(archive)))).rejects.toMatchObject({ code: 'invalid_image' });
    expect(await use.content()).toEqual(nothing);
    const roomy = gzipSync(Buffer.concat([archive, Buffer.alloc(1_000_000)]));
    expect((await importing(roomy)).digest).toBe(one.digest);
  });

  test('of several images brings all, or the one that is named; one gets the name that is given', async () => {
    const use = await useStore();
    const archive = await archiveOf(use, { one, two });
    await use.store.importArchive(Readable.from([archive]), { reference: 'two' }, useTask());
    expect((await use.store.list()).map(({ digest }) => digest)).toEqual([two.digest]);
    await use.store.importArchive(Readable.from([archive]), {}, useTask());
    expect((await use.store.list()).map(({ reference }) => reference).sort()).toEqual([
      'localhost/one:latest',
      'localhost/two:latest',
    ]);
    const other = use.store.importArchive(Readable.from([archive]), { reference: 'three' }, useTask());
    await expect(other).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('/one:'),
    });
    const single = await archiveOf(await useStore(), { '': one });
    const named = await use.store.importArchive(
      Readable.from([single]),
      { reference: 'r.io/x:1' },
      useTask(),
    );
    expect(named.reference).toBe('r.io/x:1');
  });

  test('with an index inside brings the image for this machine', async () => {
    const use = await useStore();
    await writeLayout(join(use.dir, 'made'), { one });
    const inner = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [one.descriptor] }),
    );
    const digest = (await import('../../runtime/image/oci-layout.ts')).sha256(inner);
    await writeFile(join(use.dir, 'made/blobs/sha256', digest.slice(7)), inner);
    const manifests = [{ mediaType: mediaTypes.index, digest, size: inner.length }];
    await writeFile(join(use.dir, 'made/index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    await run('tar', ['-cf', join(use.dir, 'made.tar'), '-C', join(use.dir, 'made'), '.']);
    const archive = createReadStream(join(use.dir, 'made.tar'));
    expect((await use.store.importArchive(archive, {}, useTask())).digest).toBe(one.digest);
  });
});

describe('what docker save writes', () => {
  test('brings all its images, with their names', async () => {
    const use = await useStore();
    await writeLayout(join(use.dir, 'made'), { one, two });
    const saved = join(use.dir, 'saved.tar');
    const source = `oci:${join(use.dir, 'made')}:one`;
    await run('skopeo', [
      '--insecure-policy',
      'copy',
      source,
      `docker-archive:${saved}:docker.io/library/one:1`,
    ]);
    for (const bytes of [await readFile(saved), gzipSync(await readFile(saved))]) {
      const image = await use.store.importArchive(Readable.from([bytes]), {}, useTask());
      expect(image).toMatchObject({ reference: 'docker.io/library/one:1', config: { Cmd: ['/one'] } });
      expect(image.layers).toEqual(one.diffIds.map((diffId) => diffId.slice(7)).reverse());
    }
    const named = await use.store.importArchive(createReadStream(saved), { reference: 'mine' }, useTask());
    expect(named.reference).toBe('localhost/mine:latest');
    const cut = (await readFile(saved)).subarray(0, 15_000);
    await expect(use.store.importArchive(Readable.from([cut]), {}, useTask())).rejects.toMatchObject({
      code: 'invalid_image',
    });
  });
});

describe('what is wrong is said, and nothing is left', () => {
  const damage: Record<string, (bytes: Buffer, use: TestStore) => Promise<Uint8Array>> = {
    'no tar at all': async () => Buffer.from('hello world'),
    'an empty body': async () => Buffer.alloc(0),
    'a tar of something else': async () => Buffer.from(makeLayer([{ path: 'x', data: 'y' }]).tar),
    'a truncated tar': async (bytes) => bytes.subarray(0, bytes.length / 2),
    'a truncated gzip': async (bytes) => gzipSync(bytes).subarray(0, 1000),
    'a damaged layer': async (bytes) =>
      replaced(bytes, Buffer.from((one.blobs.values().next().value as Uint8Array).subarray(8, 60))),
    'a damaged configuration': async (bytes) => replaced(bytes, one.config.subarray(0, 60)),
    'a damaged manifest': async (bytes) => replaced(bytes, one.manifest.subarray(0, 60)),
    'a missing layer': async (_, use) => {
      const [layer = ''] = one.blobs.keys();
      await run('rm', [join(use.dir, 'made/blobs/sha256', layer.slice(7))]);
      await run('tar', ['-cf', join(use.dir, 'made.tar'), '-C', join(use.dir, 'made'), '.']);
      return readFile(join(use.dir, 'made.tar'));
    },
  };
  for (const [name, make] of Object.entries(damage)) {
    test(name, async () => {
      const use = await useStore();
      const archive = await archiveOf(use, { one });
      const bytes = await make(archive, use);
      await expect(use.store.importArchive(Readable.from([bytes]), {}, useTask())).rejects.toMatchObject({
        code: 'invalid_image',
      });
      expect({ ...(await use.content()), blobs: [] }).toEqual(nothing);
      expect(await use.store.list()).toEqual([]);
      await use.store.importArchive(Readable.from([archive]), {}, useTask());
    });
  }

  test('paths in the archive lead nowhere', async () => {
    const use = await useStore();
    const outside = join(use.dir, 'outside');
    const tar = makeLayer([
      { path: '../../../outside', data: 'x' },
      { path: outside, data: 'x' },
      { path: 'blobs', type: 'SymbolicLink', linkpath: use.dir },
      { path: 'blobs/sha256/../../outside', data: 'x' },
    ]).tar;
    await expect(use.store.importArchive(Readable.from([tar]), {}, useTask())).rejects.toThrow();
    await expect(readFile(outside)).rejects.toThrow('ENOENT');
    expect((await use.content()).scratch).toEqual([]);
  });

  test('a sender who hangs up', async () => {
    const use = await useStore();
    const task = useTask();
    const importing = use.store.importArchive(new Readable({ read() {} }), {}, task);
    task.abort(new Error('hung up'));
    await expect(importing).rejects.toThrow();
    expect(await use.content()).toEqual(nothing);
  });
});

/** The archive with a byte changed in the middle of what is found. */
function replaced(archive: Buffer, part: Buffer): Buffer {
  const copy = Buffer.from(archive);
  const at = copy.indexOf(part);
  if (at < 0) throw new Error('the part is not in the archive');
  copy[at + 20] = (copy[at + 20] ?? 0) ^ 1;
  return copy;
}
