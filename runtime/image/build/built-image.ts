import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, type Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as tar from 'tar';
import { z } from 'zod';
import type { StoredImage } from '../image.ts';
import {
  checkLayers,
  configSchema,
  type Descriptor,
  indexSchema,
  manifestSchema,
  mediaTypes,
  parseJson,
  referenceAnnotation,
} from '../oci-schemas.ts';
import { StoreError } from '../store-error.ts';
import type { TarItem } from '../tar-stream.ts';

const maxJsonBytes = 4 * 1024 * 1024;

/** What a builder made: an image whose lower layers are those of images that it was given. */
export interface BuiltImage {
  manifestJson: string;
  configJson: string;
  /** Of the layers that are new, by digest; what is in them is yet to be checked. */
  blobs: ReadonlyMap<string, BuiltBlob>;
}

interface BuiltBlob {
  path: string;
  sizeBytes: number;
}

/** The image as an archive of an OCI layout, under a name, without the blobs that it shares. */
export function* archiveItems(image: BuiltImage, reference: string): Generator<TarItem> {
  const manifest = Buffer.from(image.manifestJson);
  const descriptor = { mediaType: mediaTypes.manifest, digest: sha256(manifest), size: manifest.length };
  const index = {
    schemaVersion: 2,
    manifests: [{ ...descriptor, annotations: { [referenceAnnotation]: reference } }],
  };
  const config = Buffer.from(image.configJson);
  yield { path: 'oci-layout', type: 'File', data: Buffer.from('{"imageLayoutVersion":"1.0.0"}') };
  yield { path: 'index.json', type: 'File', data: Buffer.from(JSON.stringify(index)) };
  for (const data of [manifest, config]) yield { path: blobPath(sha256(data)), type: 'File', data };
  for (const [digest, { path, sizeBytes }] of image.blobs) {
    yield { path: blobPath(digest), type: 'File', size: sizeBytes, stream: () => createReadStream(path) };
  }
}

function blobPath(digest: string): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`;
}

function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * Receives the tar of an OCI image layout from a builder, as files in `directory`. It comes out of a confinement where
 * anybody may have written it: only what a layout is made of is kept, and more than `maxBytes` together is refused.
 */
export class BuiltImageReceiver {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #unpack: tar.Unpack;
  readonly #ended: Promise<void>;
  #bytes = 0;
  #failure: Error | undefined;

  constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
    this.#unpack = tar.extract({
      cwd: directory,
      strict: true,
      noMtime: true,
      preserveOwner: false,
      brotli: false,
      zstd: false,
      filter: (path, entry) => this.#wants(path, entry),
    });
    this.#ended = new Promise((resolve) => {
      this.#unpack.on('close', resolve).on('error', (error: Error) => {
        this.#failure ??= 'errno' in error ? error : unusable(error.message); // our disk's fault, or the tar's
        resolve();
      });
    });
  }

  /** Resolves when more may come. Rejects when what came cannot be used. */
  async push(chunk: Buffer): Promise<void> {
    // Our builder packs no compressed tar, and one could hold more than anybody wants to read.
    if (this.#bytes === 0 && chunk[0] === 0x1f) this.#failure ??= unusable('it is compressed');
    this.#count(chunk.length);
    this.#check();
    if (!this.#unpack.write(chunk)) await Promise.race([once(this.#unpack, 'drain'), this.#ended]);
    this.#check();
  }

  /** After the last chunk. `bases` are the images the builder was given; layers in their places count as theirs. */
  async end(bases: readonly StoredImage[]): Promise<BuiltImage> {
    this.#unpack.end();
    await this.#ended;
    this.#check();
    const { manifests } = parseJson(
      indexSchema,
      await this.#read('index.json'),
      'the index of the built image',
    );
    const descriptor = manifests[0];
    if (descriptor === undefined || manifests.length !== 1) throw unusable('it is not one image');
    const manifest = parseJson(
      manifestSchema,
      await this.#json(descriptor),
      'the manifest of the built image',
    );
    const configJson = withoutStepIds(await this.#json(manifest.config));
    const config = parseJson(configSchema, configJson, 'the configuration of the built image');
    checkLayers(manifest, config, 'the built image');

    const shared = sharedLayers(config.rootfs.diff_ids, bases);
    const blobs = new Map<string, BuiltBlob>();
    const own: Descriptor[] = [];
    for (const { mediaType, digest } of manifest.layers.slice(shared.length)) {
      const path = join(this.#directory, blobPath(digest));
      const { size } = await stat(path).catch(() => ({ size: 0 }));
      // A layer of the store that this build was not given is none of its business, whatever digest it knows.
      if (size === 0) throw unusable(`layer ${digest} is missing`);
      blobs.set(digest, { path, sizeBytes: size });
      own.push({ mediaType, digest, size });
    }
    const size = Buffer.byteLength(configJson);
    const manifestJson = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: { mediaType: mediaTypes.config, digest: sha256(configJson), size },
      layers: [...shared, ...own],
    });
    return { manifestJson, configJson, blobs };
  }

  #wants(path: string, entry: tar.ReadEntry | Stats): boolean {
    if (!('type' in entry)) return false;
    entry.mode = 0o600; // whatever it says, it is ours to read
    if (entry.type !== 'File' && entry.type !== 'OldFile') return false;
    if (!/^(\.\/)?(index\.json|blobs\/sha256\/[a-f0-9]{64})$/.test(path)) return false;
    return entry.size <= this.#maxBytes;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#maxBytes) this.#failure ??= unusable(`it has more than ${this.#maxBytes} bytes`);
  }

  async #json({ digest }: Descriptor): Promise<string> {
    const text = await this.#read(blobPath(digest));
    if (sha256(text) !== digest) throw unusable(`blob ${digest} has another digest`);
    return text;
  }

  async #read(path: string): Promise<string> {
    const file = join(this.#directory, path);
    const { size } = await stat(file).catch(() => ({ size: Number.POSITIVE_INFINITY }));
    if (size > maxJsonBytes) throw unusable(`${path} is missing or too large`);
    return readFile(file, 'utf8');
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Buildah names in the history the images it made on the way, whose ids are other ones each time and lead nowhere. */
function withoutStepIds(configJson: string): string {
  const config = parseJson(z.looseObject({}), configJson, 'the configuration of the built image');
  const { history } = config;
  if (!Array.isArray(history)) return configJson;
  for (const entry of history) if (/^FROM [0-9a-f]{12}$/.test(entry?.comment)) delete entry.comment;
  return JSON.stringify(config);
}

/** The longest row of lowest layers that an image has in common with one of those it was built from. */
function sharedLayers(diffIds: readonly string[], bases: readonly StoredImage[]): Descriptor[] {
  let best: Descriptor[] = [];
  for (const { manifestJson, configJson, digest } of bases) {
    const { layers } = parseJson(manifestSchema, manifestJson, `manifest ${digest}`);
    const { rootfs } = parseJson(configSchema, configJson, `configuration of ${digest}`);
    let count = 0;
    while (count < rootfs.diff_ids.length && rootfs.diff_ids[count] === diffIds[count]) count++;
    if (count > best.length) best = layers.slice(0, count).map(bare);
  }
  return best;
}

function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function unusable(reason: string): StoreError {
  return new StoreError('build_failed', `cannot use what the builder made: ${reason}`);
}
