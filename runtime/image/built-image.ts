import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { finished } from 'node:stream/promises';
import { Parser, type ReadEntry } from 'tar';
import type { StoredImage } from './image.ts';
import {
  checkLayers,
  configSchema,
  type Descriptor,
  indexSchema,
  manifestSchema,
  mediaTypes,
  parseJson,
  referenceAnnotation,
} from './oci-schemas.ts';
import { StoreError } from './store-error.ts';
import type { TarItem } from './tar-stream.ts';

const maxBlobs = 300;
const maxJsonBytes = 4 * 1024 * 1024;

/** What a builder made: an image whose lower layers are those of images that it was given. */
export interface BuiltImage {
  manifestJson: string;
  configJson: string;
  /** Blobs of the layers that are new, as files, by digest. */
  blobs: ReadonlyMap<string, { path: string; sizeBytes: number }>;
  /** Descriptors of the layers that it shares with an image it was built from. */
  shared: readonly Descriptor[];
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

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * Receives the tar of an OCI image layout from a builder. It comes out of a confinement where anybody may have written
 * it: only blobs of the digest they are named by are kept, as files in `directory`, up to `maxBytes` together.
 */
export class BuiltImageReceiver {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #parser: Parser;
  readonly #blobs = new Map<string, { path: string; sizeBytes: number }>();
  readonly #writing: Promise<void>[] = [];
  #index: Buffer | undefined;
  #bytes = 0;
  #failure: Error | undefined;

  constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
    this.#parser = new Parser({
      strict: true,
      gzip: false,
      brotli: false,
      zstd: false,
      onReadEntry: (entry) => this.#take(entry),
    });
    this.#parser.on('error', (error: Error) => this.#fail(error));
  }

  /** Resolves when more may come. Rejects when what came cannot be used. */
  async push(chunk: Buffer): Promise<void> {
    this.#check();
    if (!this.#parser.write(chunk)) await this.#untilDrained();
    this.#check();
  }

  /** After the last chunk. `bases` are the images the builder was given; layers in their places count as theirs. */
  async end(bases: readonly StoredImage[]): Promise<BuiltImage> {
    this.#parser.end();
    await Promise.all(this.#writing);
    this.#check();
    if (this.#index === undefined) throw unusable('it has no index.json');
    const { manifests } = parseJson(indexSchema, this.#index, 'the index of the built image');
    const descriptor = manifests[0];
    if (descriptor === undefined || manifests.length !== 1) throw unusable('it is not one image');
    const manifest = parseJson(
      manifestSchema,
      await this.#json(descriptor),
      'the manifest of the built image',
    );
    const configJson = await this.#json(manifest.config);
    const config = parseJson(configSchema, configJson, 'the configuration of the built image');
    checkLayers(manifest, config, 'the built image');
    const known = sharedLayers(config.rootfs.diff_ids, bases);
    const own = manifest.layers.slice(known.length);
    const blobs = new Map<string, { path: string; sizeBytes: number }>();
    for (const { digest } of own) {
      const blob = this.#blobs.get(digest);
      // A layer of the store that this build was not given is none of its business, whatever digest it knows.
      if (!blob) throw unusable(`layer ${digest} is missing`);
      blobs.set(digest, blob);
    }
    const layers = [
      ...known,
      ...own.map((layer) => bare({ ...layer, size: blobs.get(layer.digest)?.sizeBytes ?? 0 })),
    ];
    const manifestJson = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: {
        mediaType: mediaTypes.config,
        digest: manifest.config.digest,
        size: Buffer.byteLength(configJson),
      },
      layers,
    });
    return { manifestJson, configJson, blobs, shared: known };
  }

  #take(entry: ReadEntry): void {
    const path = posix.normalize(entry.path);
    const digest = /^blobs\/sha256\/([a-f0-9]{64})$/.exec(path)?.[1];
    const isFile = entry.type === 'File' || entry.type === 'OldFile';
    this.#bytes += isFile ? entry.size : 0;
    if (this.#bytes > this.#maxBytes) this.#fail(unusable(`it has more than ${this.#maxBytes} bytes`));
    // Empty ones stand for layers that the builder was told not to write again.
    if (this.#failure === undefined && isFile && entry.size > 0) {
      if (path === 'index.json' && entry.size <= maxJsonBytes) {
        const chunks: Buffer[] = [];
        entry.on('data', (chunk: Buffer) => chunks.push(chunk));
        entry.on('end', () => {
          this.#index = Buffer.concat(chunks);
        });
        return;
      }
      if (digest !== undefined && this.#writing.length < maxBlobs && !this.#blobs.has(`sha256:${digest}`)) {
        this.#writing.push(this.#keep(entry, digest).catch((error: Error) => this.#fail(error)));
        return;
      }
    }
    entry.resume();
  }

  async #keep(entry: ReadEntry, hex: string): Promise<void> {
    const path = join(this.#directory, hex);
    const hash = createHash('sha256');
    const target = createWriteStream(path, { flags: 'wx', mode: 0o600 });
    entry.on('data', (chunk: Buffer) => hash.update(chunk));
    entry.pipe(target);
    await finished(target);
    if (hash.digest('hex') !== hex) throw unusable(`blob ${hex} has another digest`);
    this.#blobs.set(`sha256:${hex}`, { path, sizeBytes: entry.size });
  }

  async #json({ digest }: Descriptor): Promise<string> {
    const blob = this.#blobs.get(digest);
    if (!blob || blob.sizeBytes > maxJsonBytes) throw unusable(`blob ${digest} is missing or too large`);
    return readFile(blob.path, 'utf8');
  }

  async #untilDrained(): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#parser.off('drain', done).off('error', done);
        resolve();
      };
      this.#parser.on('drain', done).on('error', done);
      if (this.#failure !== undefined) done();
    });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
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
