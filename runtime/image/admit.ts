import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { openLayerTar } from './decompress.ts';
import type { StoredImage } from './image.ts';
import { chainDigest } from './layer-unpacker.ts';
import { digestHex, pointAt, sha256 } from './oci-layout.ts';
import {
  type Config,
  checkLayers,
  configSchema,
  type Descriptor,
  type Manifest,
  manifestSchema,
  mediaTypes,
  parseJson,
} from './oci-schemas.ts';
import { checkPlatform } from './platform.ts';
import type { ImageTask } from './shared-task.ts';
import { StoreError } from './store-error.ts';
import { refuseReserved, type StoreParts } from './store-parts.ts';

/** An image on its way into the store. */
export interface Incoming {
  /** For messages. */
  subject: string;
  reference: string | null;
  /** Byte for byte: what the digests are of. */
  manifest: Uint8Array;
  config: Uint8Array;
  /** Gets blobs that the store has not, unverified; resolves with the file of each, on the store's filesystem. */
  fetch: (missing: readonly Descriptor[]) => Promise<(digest: string) => string>;
}

/**
 * Takes an image in: blobs first, verified; then its layers, lowest first; the reference last. Whatever kills us on the
 * way, the store is whole, and what was done need not be done again. Rejects with StoreError `invalid_image`.
 */
export async function admitImage(
  parts: StoreParts,
  incoming: Incoming,
  task: ImageTask,
): Promise<StoredImage> {
  const { layout, catalogue } = parts;
  const { subject, reference } = incoming;
  const manifest = parseJson(manifestSchema, incoming.manifest, `the manifest of ${subject}`);
  if (sha256(incoming.config) !== manifest.config.digest) {
    throw invalid(subject, `its configuration does not have the digest ${manifest.config.digest}`);
  }
  const config = parseJson(configSchema, incoming.config, `the configuration of ${subject}`);
  checkLayers(manifest, config, subject);
  checkPlatform(config, subject);
  if (reference !== null) refuseReserved(parts, reference);

  const digest = sha256(incoming.manifest);
  const layerNames = config.rootfs.diff_ids.map(digestHex);
  const letGo = parts.held.hold([
    digest,
    manifest.config.digest,
    ...manifest.layers.map((layer) => layer.digest),
    // By both names that a layer's directory may have.
    ...layerNames.flatMap((hex, index) => [hex, chainDigest(layerNames.slice(0, index + 1))]),
  ]);
  try {
    await addBlobs(parts, incoming, manifest.layers, task);
    await unpackLayers(parts, manifest, config, task);
    await layout.writeBlob(incoming.config);
    await layout.writeBlob(incoming.manifest);
    task.signal.throwIfAborted();
    const mediaType = manifest.mediaType ?? mediaTypes.manifest;
    const descriptor = { mediaType, digest, size: incoming.manifest.length };
    await layout.changeIndex((entries) => pointAt(entries, reference, descriptor));
    catalogue.invalidate();
    parts.changed();
    const entries = await catalogue.entries();
    const found = entries.find((entry) => entry.digest === digest && entry.reference === reference);
    return (found ?? (await catalogue.get(digest))).image ?? (await catalogue.get(digest)).image;
  } finally {
    letGo();
  }
}

/** Fetches what is missing. Who wants the same blobs at the same time waits, and then finds them. */
async function addBlobs(
  { layout, blobMutex }: StoreParts,
  { subject, fetch }: Incoming,
  layers: readonly Descriptor[],
  { onEvent, signal }: ImageTask,
): Promise<void> {
  const missing = async () => {
    const sizes = await Promise.all(layers.map((layer) => layout.blobSize(layer.digest)));
    const absent = layers.filter((layer, index) => sizes[index] !== layer.size);
    return [...new Map(absent.map((layer) => [layer.digest, layer])).values()];
  };
  const unlock = await blobMutex.lock((await missing()).map(({ digest }) => digest));
  try {
    const wanted = await missing();
    if (wanted.length === 0) return;
    const fileOf = await fetch(wanted);
    for (const layer of wanted) {
      onEvent({ type: 'step', step: 'verify', subject: layer.digest });
      const path = fileOf(layer.digest);
      await verifyBlob(path, layer, subject, signal);
      await layout.adoptBlob(path, layer.digest);
    }
  } finally {
    unlock();
  }
}

async function verifyBlob(path: string, { digest, size }: Descriptor, subject: string, signal: AbortSignal) {
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isFile()) throw invalid(subject, `layer ${digest} is missing`);
  if (stats.size !== size) {
    throw invalid(subject, `layer ${digest} has ${stats.size} bytes where its manifest says ${size}`);
  }
  const actual = await hashFile(path, signal);
  if (actual !== digest) throw invalid(subject, `layer ${digest} is damaged: it has the digest ${actual}`);
}

async function unpackLayers(
  { layout, layers }: StoreParts,
  manifest: Manifest,
  config: Config,
  { onEvent, signal }: ImageTask,
): Promise<void> {
  const diffIds = config.rootfs.diff_ids.map(digestHex);
  const below: string[] = [];
  for (const [index, layer] of manifest.layers.entries()) {
    signal.throwIfAborted();
    const diffId = diffIds[index] as string;
    const path = layout.blobPath(layer.digest);
    const totalBytes = layer.mediaType.endsWith('tar') ? layer.size : null;
    const request = {
      diffId,
      chain: diffIds.slice(0, index),
      lowers: below.toReversed(),
      onProgress: (doneBytes: number) => onEvent({ type: 'progress', doneBytes, totalBytes }),
      signal,
    };
    const openTar = () => {
      onEvent({ type: 'step', step: 'unpack', subject: `sha256:${diffId}` });
      return openLayerTar(path, layer);
    };
    try {
      below.push(await layers.ensure(request, openTar));
    } catch (error) {
      // A blob that has rotted on our disk would fail each pull to come: without it the next one fetches it anew.
      if (!signal.aborted && (await hashFile(path).catch(() => '')) !== layer.digest) {
        await layout.removeBlob(layer.digest);
      }
      throw error;
    }
  }
}

async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(
    createReadStream(path, { highWaterMark: 1024 * 1024 }),
    hash,
    ...(signal ? [{ signal }] : []),
  );
  return `sha256:${hash.digest('hex')}`;
}

function invalid(subject: string, reason: string): StoreError {
  return new StoreError('invalid_image', `cannot use ${subject}: ${reason}`);
}
