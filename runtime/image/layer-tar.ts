import { Parser, type ReadEntry } from 'tar';

const maxEntries = 50_000;
const maxDepth = 64;

export type LayerEntry =
  | { type: 'directory'; path: string }
  | { type: 'file'; path: string; executable: boolean; data: Uint8Array };

/**
 * The entries of a code layer's tar, in order. The tar was made by the registry, but what it holds was a user's:
 * anything but a regular file or directory with a plain relative path throws. The tar is uncompressed, so what
 * comes out is never larger than what went in.
 */
export function readLayerTar(tar: Uint8Array): LayerEntry[] {
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
  // The parser would decompress a gzip, unbounded.
  if (tar[0] === 0x1f && tar[1] === 0x8b) throw new Error('cannot read layer: it is compressed');
  const entries: LayerEntry[] = [];
  let failure: Error | undefined;
  let ended = false;
  const parser = new Parser({
    strict: true,
    brotli: false,
    zstd: false,
    onReadEntry: (entry) => {
      try {
        if (failure === undefined) collect(entry);
      } catch (error) {
        failure = error as Error;
      }
      entry.resume();
    },
  });
  parser.on('error', (error: Error) => {
    failure ??= error;
  });
  parser.on('end', () => {
    ended = true;
  });
  parser.end(bytes);
  if (failure !== undefined) throw new Error(`cannot read layer: ${failure.message}`, { cause: failure });
  if (!ended) throw new Error('cannot read layer: its tar ends early');
  return entries;

  function collect(entry: ReadEntry): void {
    const path = plainPath(entry.path);
    if (entries.length >= maxEntries) throw new Error(`more than ${maxEntries} entries`);
    if (entry.type === 'Directory') {
      entries.push({ type: 'directory', path });
      return;
    }
    if (entry.type !== 'File' && entry.type !== 'OldFile') throw new Error(`"${path}" is a ${entry.type}`);
    const chunks: Uint8Array[] = [];
    const file = {
      type: 'file' as const,
      path,
      executable: ((entry.mode ?? 0) & 0o111) !== 0,
      data: Buffer.alloc(0),
    };
    entry.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    entry.on('end', () => {
      file.data = Buffer.concat(chunks);
    });
    entries.push(file);
  }
}

function plainPath(path: string): string {
  const parts = path.replace(/\/$/, '').split('/');
  const plain = parts.every(
    (part) => part !== '' && part !== '.' && part !== '..' && !part.startsWith('.wh.'),
  );
  if (!plain || path.includes('\0') || parts.length > maxDepth)
    throw new Error(`"${path}" is not a plain relative path`);
  return parts.join('/');
}
