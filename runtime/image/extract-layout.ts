import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { finished, pipeline } from 'node:stream/promises';
import { Parser, type ReadEntry } from 'tar';

const wantedPath = /^(?:\.\/)?(oci-layout|index\.json|manifest\.json|blobs\/sha256\/[a-f0-9]{64})$/;

/**
 * Takes the files of an OCI layout, and docker save's list, out of a tar that may be gzipped. Only regular files with
 * just these names are written, so whatever else the archive holds has no effect. Rejects when it is no tar, or a
 * damaged or truncated one; nothing is written any more once it has.
 */
export async function extractLayout(archive: string, dir: string): Promise<void> {
  await mkdir(join(dir, 'blobs', 'sha256'), { recursive: true });
  const files = new Map<WriteStream, Promise<void>>();
  let failure: Error | undefined;
  const parser = new Parser({ strict: true, onReadEntry });
  const source = createReadStream(archive, { highWaterMark: 256 * 1024 });
  try {
    // Its end comes when all entries have been read.
    await pipeline(source, parser as unknown as NodeJS.WritableStream);
    await Promise.all(files.values());
    if (failure) throw failure;
  } finally {
    for (const file of files.keys()) if (!file.writableFinished) file.destroy();
    await Promise.allSettled(files.values());
  }

  function onReadEntry(entry: ReadEntry): void {
    const name = /^(Old|Contiguous)?File$/.test(entry.type) ? wantedPath.exec(entry.path)?.[1] : undefined;
    if (name === undefined) {
      entry.resume();
      return;
    }
    const file = createWriteStream(join(dir, name), { mode: 0o600 });
    const done = finished(file).catch((error: Error) => {
      failure ??= error;
      source.destroy(error);
      throw error;
    });
    done.catch(() => {});
    files.set(file, done);
    entry.pipe(file as unknown as NodeJS.WriteStream);
  }
}
