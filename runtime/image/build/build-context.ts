import { createWriteStream } from 'node:fs';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Parser } from 'tar';
import { StoreError } from '../store-error.ts';

const maxDockerfileBytes = 1024 * 1024;

interface SpoolOptions {
  /** Where the tar goes, uncompressed. */
  path: string;
  /** Path of the Dockerfile in the context. */
  dockerfile: string;
  /** Of the uncompressed tar. */
  maxBytes: number;
  signal: AbortSignal;
}

/**
 * Puts a build context on disk as it comes, and finds its Dockerfile on the way; nothing is unpacked. Throws StoreError
 * `invalid_request` for what is no tar, is too large, or has no such Dockerfile.
 */
export async function spoolContext(
  context: Readable,
  { path, dockerfile, maxBytes, signal }: SpoolOptions,
): Promise<{ sizeBytes: number; dockerfile: string }> {
  const finder = new FileFinder(posix.normalize(dockerfile));
  let sizeBytes = 0;
  await pipeline(
    context,
    gunzipped,
    async function* watched(chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        // The tar parser would decompress once more, with no bound.
        if (sizeBytes === 0 && chunk[0] === 0x1f) throw unreadable('it is compressed twice');
        sizeBytes += chunk.length;
        if (sizeBytes > maxBytes) throw unreadable(`it is larger than ${maxBytes} bytes`);
        finder.push(chunk);
        yield chunk;
      }
    },
    createWriteStream(path, { mode: 0o600 }),
    { signal },
  );
  const found = finder.end();
  if (found === undefined) {
    throw new StoreError('invalid_request', `cannot build: the context has no file "${dockerfile}"`);
  }
  return { sizeBytes, dockerfile: found };
}

async function* gunzipped(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const iterator = chunks[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  while (start.length < 2) {
    const { value, done } = await iterator.next();
    if (done) break;
    start = Buffer.concat([start, value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield start;
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
  }
  if (start[0] !== 0x1f || start[1] !== 0x8b) {
    yield* all();
    return;
  }
  const gunzip = createGunzip();
  const fed = pipeline(all(), gunzip).catch(() => {}); // the reader below meets the same error
  try {
    yield* gunzip as AsyncIterable<Buffer>;
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : String(error));
  }
  await fed;
}

/** Picks one regular file out of a tar; of several with its name the last, as unpacking would have it. */
class FileFinder {
  readonly #parser: Parser;
  #failure: Error | undefined;
  #content: string | undefined;

  constructor(path: string) {
    this.#parser = new Parser({
      strict: true,
      gzip: false,
      brotli: false,
      zstd: false,
      onReadEntry: (entry) => {
        if (posix.normalize(entry.path).replace(/^\/+/, '') === path) {
          this.#content = undefined;
          if (entry.type === 'File' || entry.type === 'OldFile') this.#collect(entry);
        }
        entry.resume();
      },
    });
    this.#parser.on('error', (error: Error) => {
      this.#failure ??= error;
    });
  }

  push(chunk: Buffer): void {
    if (this.#failure === undefined) this.#parser.write(chunk);
    if (this.#failure !== undefined) throw unreadable(this.#failure.message);
  }

  end(): string | undefined {
    this.#parser.end();
    if (this.#failure !== undefined) throw unreadable(this.#failure.message);
    return this.#content;
  }

  #collect(entry: NodeJS.EventEmitter & { size: number }): void {
    if (entry.size > maxDockerfileBytes) {
      this.#failure = new Error(`its Dockerfile is larger than ${maxDockerfileBytes} bytes`);
      return;
    }
    const chunks: Buffer[] = [];
    entry.on('data', (chunk: Buffer) => chunks.push(chunk));
    entry.on('end', () => {
      this.#content = Buffer.concat(chunks).toString();
    });
  }
}

function unreadable(reason: string): StoreError {
  return new StoreError('invalid_request', `cannot read the build context: ${reason}`);
}
