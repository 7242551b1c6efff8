import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { Header, Parser, Pax, type ReadEntry } from 'tar';
import { relativePathSchema } from '../../sdk/contract/program.ts';

export interface CodeFile {
  /** Relative to the function's directory. */
  path: string;
  data: Uint8Array;
  executable?: boolean;
}

/** Where the files lie in the layer, and so in the sandbox: `/function`. */
const root = 'function';
export const maxEntries = 10_000;
const blockBytes = 512;
/** Headers, padding and long names that a bundle may add to each entry's content. */
const overheadBytesPerEntry = 4 * blockBytes;

/**
 * The OCI layer of a function's files and the SHA-256 of the tar, its diffID. The same files give the same bytes:
 * sorted by name, owned by 0, of time 0, modes 0755 and 0644. Throws when two files want one path.
 */
export function packCodeLayer(files: readonly CodeFile[]): { tar: Uint8Array; digest: string } {
  const blocks: Uint8Array[] = [];
  for (const path of directoriesOf(files)) blocks.push(...tarHeader(`${path}/`, 'Directory', 0o755, 0));
  // By bytes: a locale's order would differ between machines.
  for (const file of files.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))) {
    const mode = file.executable ? 0o755 : 0o644;
    blocks.push(...tarHeader(`${root}/${file.path}`, 'File', mode, file.data.length));
    blocks.push(file.data, Buffer.alloc(-file.data.length & (blockBytes - 1)));
  }
  blocks.push(Buffer.alloc(2 * blockBytes));
  const tar = Buffer.concat(blocks);
  return { tar, digest: createHash('sha256').update(tar).digest('hex') };
}

/**
 * The files of a user's tar.gz. Rejects with a message that says what is wrong: not a gzipped tar, more than
 * `maxBytes` unpacked, more than 10,000 entries, or an entry that is not a regular file or directory with a
 * relative path inside the bundle.
 */
export async function unpackBundle(targz: Uint8Array, maxBytes: number): Promise<CodeFile[]> {
  const tar = await decompress(targz, maxBytes);
  const files = new Map<string, CodeFile>();
  let entries = 0;
  let bytes = 0;
  readEntries(tar, (entry) => {
    entries += 1;
    if (entries > maxEntries) throw new Error(`bundle holds more than ${maxEntries} entries`);
    bytes += entry.size;
    if (bytes > maxBytes) throw new Error(tooLarge(maxBytes));
    const path = safePath(entry.path);
    if (entry.type === 'Directory') return undefined;
    if (entry.type !== 'File' && entry.type !== 'OldFile') {
      throw new Error(
        `bundle entry ${quote(entry.path)} is a ${entry.type}: only files and directories are allowed`,
      );
    }
    if (path === '') throw new Error(`bundle entry ${quote(entry.path)} has no name`);
    if (files.has(path)) throw new Error(`bundle holds ${quote(path)} twice`);
    const file: CodeFile = { path, data: Buffer.alloc(0), executable: ((entry.mode ?? 0) & 0o111) !== 0 };
    files.set(path, file);
    return (data) => {
      file.data = data;
    };
  });
  if (files.size === 0) throw new Error('bundle holds no files');
  // A path that is both a file and a directory would fail only when unpacked, far from the user.
  directoriesOf([...files.values()]);
  return [...files.values()];
}

/** The files that `packCodeLayer` made a layer of. */
export function unpackCodeLayer(tar: Uint8Array): CodeFile[] {
  const files: CodeFile[] = [];
  readEntries(Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength), (entry) => {
    if (entry.type === 'Directory') return undefined;
    const path = entry.path.slice(root.length + 1);
    return (data) => files.push({ path, data, executable: ((entry.mode ?? 0) & 0o111) !== 0 });
  });
  return files;
}

async function decompress(targz: Uint8Array, maxBytes: number): Promise<Buffer> {
  if (targz[0] !== 0x1f || targz[1] !== 0x8b) throw new Error('bundle is not a gzip file');
  // Bounded before anything is parsed: a small gzip can hold a thousand times its size.
  const maxOutputLength = maxBytes + maxEntries * overheadBytesPerEntry;
  try {
    return await promisify(gunzip)(targz, { maxOutputLength });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw new Error(tooLarge(maxBytes));
    throw new Error(`bundle is not a valid gzip file: ${(error as Error).message}`);
  }
}

/** Calls `take` for every entry; what it returns gets the entry's content. What it throws is thrown. */
function readEntries(tar: Buffer, take: (entry: ReadEntry) => ((data: Buffer) => unknown) | undefined): void {
  let failure: Error | undefined;
  let ended = false;
  const parser = new Parser({
    strict: true,
    brotli: false,
    zstd: false,
    onReadEntry: (entry) => {
      try {
        const done = failure === undefined ? take(entry) : undefined;
        if (done) {
          const chunks: Uint8Array[] = [];
          entry.on('data', (chunk: Uint8Array) => chunks.push(chunk));
          entry.on('end', () => done(Buffer.concat(chunks)));
        }
      } catch (error) {
        failure = error as Error;
      }
      entry.resume();
    },
  });
  parser.on('error', (error: Error) => {
    failure ??= new Error(`bundle is not a valid tar: ${error.message}`, { cause: error });
  });
  parser.on('end', () => {
    ended = true;
  });
  // The parser would decompress a gzip once more, unbounded.
  const isCompressed = tar[0] === 0x1f && tar[1] === 0x8b;
  if (isCompressed || tar.length < blockBytes || tar.toString('latin1', 257, 262) !== 'ustar') {
    throw new Error('bundle is not a valid tar: it does not start with a ustar header');
  }
  parser.end(tar);
  if (failure !== undefined) throw failure;
  if (!ended) throw new Error('bundle is not a valid tar: it ends early');
}

/** The path without `./` and a directory's last slash; empty for the bundle's own root. */
export function safePath(raw: string): string {
  const path = raw.replace(/^(\.\/)+/, '').replace(/\/$/, '');
  if (path === '' || path === '.') return '';
  const parsed = relativePathSchema.safeParse(path);
  if (!parsed.success)
    throw new Error(`bundle entry ${quote(raw)} ${parsed.error.issues[0]?.message ?? 'is refused'}`);
  // In a layer these names delete what lies below (OCI image-spec, layer.md): not a user's to use.
  if (path.split('/').some((part) => part.startsWith('.wh.'))) {
    throw new Error(`bundle entry ${quote(raw)} is a whiteout: names starting with ".wh." are reserved`);
  }
  return path;
}

/** Every directory above the files, parents first. Throws when a file has a directory's path, or another file's. */
export function directoriesOf(files: readonly CodeFile[]): string[] {
  const directories = new Set([root]);
  const paths = new Set<string>();
  for (const { path } of files) {
    if (paths.has(path)) throw new Error(`two files want the path ${quote(path)}`);
    paths.add(path);
    const parents = path.split('/').slice(0, -1);
    for (let depth = 1; depth <= parents.length; depth += 1) {
      directories.add(`${root}/${parents.slice(0, depth).join('/')}`);
    }
  }
  for (const path of paths) {
    if (directories.has(`${root}/${path}`)) throw new Error(`${quote(path)} is both a file and a directory`);
  }
  return [...directories].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function tarHeader(path: string, type: 'File' | 'Directory', mode: number, size: number): Uint8Array[] {
  const fields = { path, type, mode, size, uid: 0, gid: 0, mtime: new Date(0) };
  const header = new Header(fields);
  const block = Buffer.alloc(blockBytes);
  const needsPax = header.encode(block);
  // Only the path can be too long or not ASCII here; nothing else may enter the extended header.
  return needsPax ? [new Pax({ path }).encode(), block] : [block];
}

function tooLarge(maxBytes: number): string {
  return `bundle is larger than ${maxBytes} bytes unpacked`;
}

/** What came from a user is shown escaped and cut. */
function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
