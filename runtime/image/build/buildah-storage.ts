import { createHash } from 'node:crypto';
import type { StoredImage } from '../image.ts';
import { type Config, configSchema, type Manifest, manifestSchema, parseJson } from '../oci-schemas.ts';
import { localRegistry, parseReference, pullName, repositoryOf } from '../reference.ts';
import type { TarItem } from '../tar-stream.ts';

/**
 * A storage for buildah in which images of the store are there already (github.com/containers/storage, `layers.go`,
 * `images.go` and `drivers/overlay/overlay.go`). Nothing is unpacked or copied: the content of each layer is a link
 * to `/layers/<name>`, where the launcher mounts the store's own directory read-only. The store's way to keep
 * whiteouts and opaque directories is that of buildah's overlay driver in a user namespace.
 */
export function storageItems(images: ReadonlyMap<string, StoredImage>): TarItem[] {
  const layers = new Map<string, LayerRecord>();
  const records = new Map<string, ImageRecord>();
  const items: TarItem[] = [];
  for (const [name, stored] of images) {
    const image = completeHistory(stored);
    const id = hexOf(image.configDigest);
    const known = records.get(id);
    if (known) {
      known.names.push(name);
      continue;
    }
    const top = addLayers(image, [...stored.layers].reverse(), layers, items);
    records.set(id, imageRecord(id, name, top, image));
    for (const [key, data] of image.bigData) {
      items.push(file(`overlay-images/${id}/${bigDataFile(key)}`, data));
    }
  }
  return [
    directory('overlay'),
    directory('overlay/l'),
    directory('overlay-layers'),
    directory('overlay-images'),
    ...[...records.keys()].map((id) => directory(`overlay-images/${id}`)),
    ...items,
    file('overlay-layers/layers.json', JSON.stringify([...layers.values()].map(({ record }) => record))),
    file('overlay-images/images.json', JSON.stringify([...records.values()])),
  ];
}

/** The name under which buildah looks for what a Dockerfile calls `reference`. Throws StoreError `invalid_request`. */
export function buildahName(reference: string): string {
  const parsed = parseReference(reference);
  const local = { ...parsed, registry: parsed.registry ?? localRegistry };
  return parsed.digest === undefined ? pullName(local) : `${repositoryOf(local)}@${parsed.digest}`;
}

interface LayerRecord {
  link: string;
  record: Record<string, unknown>;
}

interface ImageRecord extends Record<string, unknown> {
  names: string[];
}

interface CompleteImage {
  manifest: Manifest;
  config: Config;
  manifestDigest: string;
  configDigest: string;
  bigData: Map<string, string>;
}

/**
 * Buildah refuses an image whose history speaks of fewer layers than it has, and an image may well have no history. So
 * it gets an entry for each layer that lacks one; that changes its digests, in this storage only.
 */
function completeHistory({ manifestJson, configJson, digest }: StoredImage): CompleteImage {
  const manifest = parseJson(manifestSchema, manifestJson, `manifest ${digest}`);
  const config = parseJson(configSchema, configJson, `configuration of ${digest}`);
  const history = config.history ?? [];
  const missing = config.rootfs.diff_ids.length - history.filter((entry) => !entry.empty_layer).length;
  if (missing > 0) {
    const made = Array.from({ length: missing }, () => ({ created: epoch, created_by: '' }));
    configJson = JSON.stringify({ ...JSON.parse(configJson), history: [...made, ...history] });
    const { mediaType } = manifest.config;
    const size = Buffer.byteLength(configJson);
    const descriptor = { mediaType, digest: digestOf(configJson), size };
    manifestJson = JSON.stringify({ ...JSON.parse(manifestJson), config: descriptor });
  }
  const manifestDigest = digestOf(manifestJson);
  const configDigest = digestOf(configJson);
  const bigData = new Map([
    ['manifest', manifestJson],
    [`manifest-${manifestDigest}`, manifestJson],
    [configDigest, configJson],
  ]);
  return { manifest, config, manifestDigest, configDigest, bigData };
}

/** Lowest first; returns the id of the uppermost, or undefined for an image without layers. */
function addLayers(
  { manifest, config }: CompleteImage,
  names: readonly string[],
  layers: Map<string, LayerRecord>,
  items: TarItem[],
): string | undefined {
  let parent: string | undefined;
  let lower: string[] = [];
  for (const [index, diffId] of config.rootfs.diff_ids.entries()) {
    const blob = manifest.layers[index];
    const name = names[index];
    if (!blob || !name)
      throw new Error(`cannot use layer ${diffId} in a build: the store has no content for it`);
    // The id that buildah itself would give it: by this it finds a layer again under the image it commits.
    const id = parent === undefined ? hexOf(diffId) : hexOf(digestOf(`${parent}+${hexOf(diffId)}`));
    let layer = layers.get(id);
    if (!layer) {
      layer = {
        link: createHash('sha256').update(id).digest('hex').slice(0, 26).toUpperCase(),
        record: {
          id,
          parent,
          created: epoch,
          'compressed-diff-digest': blob.digest,
          'compressed-size': blob.size,
          'diff-digest': diffId,
          'diff-size': blob.size,
        },
      };
      layers.set(id, layer);
      items.push(
        directory(`overlay/${id}`),
        directory(`overlay/${id}/work`),
        directory(`overlay/${id}/merged`),
        file(`overlay/${id}/link`, layer.link),
        link(`overlay/${id}/diff`, `/layers/${name}`),
        link(`overlay/l/${layer.link}`, `../${id}/diff`),
        parent === undefined
          ? directory(`overlay/${id}/empty`)
          : file(`overlay/${id}/lower`, lower.map((short) => `l/${short}`).join(':')),
      );
    }
    lower = [layer.link, ...lower];
    parent = id;
  }
  return parent;
}

function imageRecord(id: string, name: string, layer: string | undefined, image: CompleteImage): ImageRecord {
  const entries = [...image.bigData];
  return {
    id,
    digest: image.manifestDigest,
    names: [name],
    layer,
    metadata: '{}',
    'big-data-names': entries.map(([key]) => key),
    'big-data-sizes': Object.fromEntries(entries.map(([key, data]) => [key, Buffer.byteLength(data)])),
    'big-data-digests': Object.fromEntries(entries.map(([key, data]) => [key, digestOf(data)])),
    created: epoch,
  };
}

const epoch = '1970-01-01T00:00:00Z';
const root = 'storage';

function bigDataFile(key: string): string {
  return key === 'manifest' ? key : `=${Buffer.from(key).toString('base64')}`;
}

function directory(path: string): TarItem {
  return { path: `${root}/${path}`, type: 'Directory' };
}

function link(path: string, linkpath: string): TarItem {
  return { path: `${root}/${path}`, type: 'SymbolicLink', linkpath };
}

function file(path: string, data: string): TarItem {
  return { path: `${root}/${path}`, type: 'File', data: Buffer.from(data) };
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length);
}
