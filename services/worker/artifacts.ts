import { posix } from 'node:path';
import type { ReadEntry } from 'tar';
import type { BinaryFile } from '../../runtime/sandbox/sandbox.ts';
import { readTar } from './read-tar.ts';

/** What a compiler may leave in its working directory: as a tar, and its files with what links to them, bytes. */
export const maxArtifactBytes = 32 * 1024 * 1024;
/** As many as a request may bring. */
const maxFiles = 5_000;
const maxPathBytes = 1_024;
/** Links to links. */
const maxLinks = 8;
const workDirectory = 'work/';

/** More than is carried from one sandbox into the next. */
export class ArtifactsExceededError extends Error {
  override readonly name = 'ArtifactsExceededError';
  readonly limit: 'disk' | 'inodes';
  readonly max: number;
  readonly peak: number;

  constructor(limit: 'disk' | 'inodes', max: number, peak: number) {
    super(`the compiler left more than ${max} ${limit === 'disk' ? 'bytes' : 'files'}`);
    this.limit = limit;
    this.max = max;
    this.peak = peak;
  }
}

/**
 * The files that a compiler left in `/work`, of the tar of its writable layer. A link to one of them is a copy of it; what is
 * neither file nor link is left out, and so is what leads out of the directory, or has a path that no program could be
 * given. Whoever was compiled wrote all of it. Throws ArtifactsExceededError; anything else thrown: it is malformed.
 */
export async function readArtifacts(tar: Uint8Array): Promise<BinaryFile[]> {
  const files = new Map<string, Uint8Array>();
  const links: { path: string; target: string }[] = [];
  let bytes = 0;

  function claim(size: number): void {
    bytes += size;
    if (bytes > maxArtifactBytes) throw new ArtifactsExceededError('disk', maxArtifactBytes, bytes);
    const count = files.size + links.length + 1;
    if (count > maxFiles) throw new ArtifactsExceededError('inodes', maxFiles, count);
  }

  function take(entry: ReadEntry): void {
    const path = workPath(entry.path);
    const target = linkTarget(entry, path);
    if (path === undefined) return void entry.resume();
    if (target !== undefined) {
      claim(0);
      links.push({ path, target });
    }
    if (entry.type !== 'File' && entry.type !== 'OldFile') return void entry.resume();
    claim(entry.size);
    const parts: Uint8Array[] = [];
    entry.on('data', (part: Uint8Array) => parts.push(part));
    entry.on('end', () => files.set(path, parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)));
  }

  await readTar(tar, { entry: take });
  const ends = new Map(links.map(({ path, target }) => [path, target]));
  for (const { path } of links) {
    const file = files.get(endOf(path, ends));
    if (!file || files.has(path)) continue;
    bytes += file.length;
    if (bytes > maxArtifactBytes) throw new ArtifactsExceededError('disk', maxArtifactBytes, bytes);
    files.set(path, file);
  }
  return [...files].map(([path, content]) => ({ path, bytes: content }));
}

/** Inside the working directory; undefined where it is not, or is none that a file may have (exec-job.c). */
function workPath(path: string): string | undefined {
  if (!path.startsWith(workDirectory)) return undefined;
  const inside = path.slice(workDirectory.length);
  const isPlain = inside.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  return isPlain && !inside.includes('\0') && Buffer.byteLength(inside) <= maxPathBytes ? inside : undefined;
}

/** Where a link in the working directory leads, if that is in there too. */
function linkTarget({ type, linkpath = '' }: ReadEntry, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  if (type === 'Link') return workPath(linkpath);
  if (type !== 'SymbolicLink') return undefined;
  return workPath(posix.resolve('/', workDirectory, posix.dirname(path), linkpath).slice(1));
}

function endOf(path: string, targets: ReadonlyMap<string, string>): string {
  let end = path;
  for (let steps = 0; steps < maxLinks; steps++) end = targets.get(end) ?? end;
  return end;
}
