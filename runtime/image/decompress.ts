import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { compressionOf, type Descriptor } from './oci-schemas.ts';
import { StoreError } from './store-error.ts';

/** What one layer may unpack to, bytes: beyond this it is a bomb. */
const maxLayerBytes = 64 * 1024 ** 3;
const chunkBytes = 256 * 1024;

/**
 * The tar of a layer's blob, uncompressed. Destroying it ends all that is behind it. Fails with StoreError
 * `invalid_image` where the blob is no such thing, or holds more than `maxBytes`.
 */
export function openLayerTar(path: string, layer: Descriptor, maxBytes = maxLayerBytes): Readable {
  return Readable.from(readTar(path, layer, maxBytes), { objectMode: false, highWaterMark: chunkBytes });
}

async function* readTar(path: string, layer: Descriptor, maxBytes: number): AsyncGenerator<Buffer> {
  const compression = compressionOf(layer);
  const file = createReadStream(path, { highWaterMark: chunkBytes });
  const tar = { none: () => file, gzip: () => gunzip(file), zstd: () => unzstd(file) }[compression]();
  let bytes = 0;
  try {
    for await (const chunk of tar) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new StoreError(
          'invalid_image',
          `cannot unpack layer ${layer.digest}: it holds more than ${maxBytes} bytes`,
        );
      }
      yield chunk;
    }
  } catch (error) {
    if (error instanceof StoreError || compression === 'none') throw error;
    const reason = (error as Error).message;
    throw new StoreError('invalid_image', `cannot decompress layer ${layer.digest}: ${reason}`, {
      cause: error,
    });
  } finally {
    file.destroy();
  }
}

function gunzip(file: Readable): Readable {
  // Errors of the file come out of the last stream, where they are read.
  return pipeline(file, createGunzip({ chunkSize: chunkBytes }), () => {});
}

/** By the zstd program: this Node has none. The window is bounded, as it is memory. */
async function* unzstd(file: Readable): AsyncGenerator<Buffer> {
  const zstd = spawn('zstd', ['-dcq', '--memory=128MB'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const closed = once(zstd, 'close');
  closed.catch(() => {});
  // When it refuses, it reads no more; its exit tells.
  pipeline(file, zstd.stdin, () => {});
  try {
    yield* zstd.stdout;
    const [code] = await closed;
    if (code !== 0) throw new Error('it is no zstd stream, or a damaged one');
  } finally {
    zstd.kill('SIGKILL');
  }
}
