import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { archiveItems, BuiltImageReceiver } from '../../runtime/image/build/built-image.ts';
import type { StoredImage } from '../../runtime/image/image.ts';
import { mediaTypes } from '../../runtime/image/oci-schemas.ts';
import { tarOf } from '../../runtime/image/tar-stream.ts';
import { makeTar, type TarEntry } from './make-tar.ts';

const digestOf = (data: string) => `sha256:${createHash('sha256').update(data).digest('hex')}`;
const entryOf = (data: string, name = digestOf(data)): TarEntry => ({
  mode: 0,
  path: `./blobs/sha256/${name.slice(7)}`,
  data,
});

/** An image whose layers are these texts, which stand for tars. */
function imageOf(layers: readonly string[]) {
  const config = JSON.stringify({ os: 'linux', rootfs: { type: 'layers', diff_ids: layers.map(digestOf) } });
  const descriptors = layers.map((text) => ({
    mediaType: mediaTypes.layer,
    digest: digestOf(text),
    size: text.length,
  }));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: mediaTypes.config, digest: digestOf(config), size: config.length },
    layers: descriptors,
    annotations: { 'org.opencontainers.image.base.name': 'x' },
  });
  const index = JSON.stringify({
    schemaVersion: 2,
    manifests: [{ mediaType: mediaTypes.manifest, digest: digestOf(manifest), size: manifest.length }],
  });
  const stored = { digest: digestOf(manifest), manifestJson: manifest, configJson: config } as StoredImage;
  return {
    stored,
    descriptors,
    entries: [{ path: './index.json', data: index }, entryOf(manifest), entryOf(config)],
  };
}

async function receive(tar: Uint8Array, { bases = [] as StoredImage[], maxBytes = 1024 * 1024 } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-test-built-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const receiver = new BuiltImageReceiver(directory, maxBytes);
  // As it comes over a socket: cut anywhere.
  for (let at = 0; at < tar.length; at += 1000) await receiver.push(Buffer.from(tar.subarray(at, at + 1000)));
  return receiver.end(bases);
}

describe('what a builder made', () => {
  it('is taken with its new layers, and with the descriptors of those that it shares', async () => {
    const base = imageOf(['base', 'more']);
    const { entries, descriptors } = imageOf(['base', 'more', 'new']);
    const built = await receive(makeTar([...entries, entryOf('', digestOf('base')), entryOf('new')]), {
      bases: [imageOf(['base']).stored, base.stored, imageOf(['other', 'more']).stored],
    });
    expect(JSON.parse(built.manifestJson).layers).toEqual(descriptors);
    expect(JSON.parse(built.manifestJson)).not.toHaveProperty('annotations');
    expect([...built.blobs.keys()]).toEqual([digestOf('new')]);
    const archive = await buffer(tarOf(archiveItems(built, 'localhost/a:b')));
    expect(archive.includes('localhost/a:b')).toBe(true);
    expect((await receive(archive, { bases: [base.stored] })).manifestJson).toBe(built.manifestJson);
  });

  it('is refused with a layer of the store that the build was not given', async () => {
    const { entries } = imageOf(['base', 'secret']);
    const bases = [imageOf(['base']).stored];
    await expect(receive(makeTar(entries), { bases })).rejects.toThrow(
      `layer ${digestOf('secret')} is missing`,
    );
    const stub = entryOf('', digestOf('secret'));
    await expect(receive(makeTar([...entries, stub]), { bases })).rejects.toThrow('is missing');
    await expect(receive(makeTar([...entries, entryOf('secret')]), { bases })).resolves.toBeDefined();
  });

  it('is refused when a layer of a base stands in another place', async () => {
    const { entries } = imageOf(['new', 'base']);
    const bases = [imageOf(['base']).stored];
    await expect(receive(makeTar([...entries, entryOf('new')]), { bases })).rejects.toThrow('is missing');
  });

  const { entries } = imageOf(['new']);
  const [index, manifest, config] = entries as [TarEntry, TarEntry, TarEntry];
  const layer = entryOf('new');
  it.each<[string, Uint8Array, string]>([
    ['nothing', makeTar([layer]), 'index.json is missing'],
    ['no tar', Buffer.alloc(4096, 'x'), 'cannot use what the builder made'],
    ['a compressed tar', gzipSync(makeTar([...entries, layer])), 'it is compressed'],
    ['no manifest', makeTar([index, config, layer]), 'is missing'],
    [
      'a manifest of another digest',
      makeTar([index, { ...manifest, data: '{}' }, config, layer]),
      'another digest',
    ],
    [
      'a configuration of another digest',
      makeTar([index, manifest, { ...config, data: '{}' }, layer]),
      'another digest',
    ],
    [
      'an index that is a link',
      makeTar([{ path: 'index.json', type: 'SymbolicLink', linkpath: '/etc/passwd' }]),
      'missing',
    ],
    [
      'a layer that is a link',
      makeTar([...entries, { ...layer, type: 'SymbolicLink', linkpath: '/etc/passwd' }]),
      'missing',
    ],
    ['a layer elsewhere', makeTar([...entries, { ...layer, path: `../${layer.path}` }]), 'is missing'],
    [
      'more than it may be',
      makeTar([...entries, layer, { path: 'junk', data: 'x'.repeat(2 << 20) }]),
      'more than 1048576 bytes',
    ],
    [
      'a file of more than there can be',
      makeTar([...entries, { ...layer, size: 2 ** 40 }]),
      'cannot use what the builder made',
    ],
    ['a manifest that is no JSON', makeTar([{ path: 'index.json', data: 'x' }]), 'it is not JSON'],
  ])('is refused when it is %s', async (_what, tar, words) => {
    await expect(receive(tar)).rejects.toThrow(words);
  });
});
