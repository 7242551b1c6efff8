import { promisify } from 'node:util';
import { type Entry, fromBuffer, type ZipFile } from 'yauzl';
import { type CodeFile, directoriesOf, maxEntries, safePath } from './code-layer.ts';

const typeMask = 0o170000;
const typeFile = 0o100000;
const typeDirectory = 0o040000;
const unix = 3;

/**
 * The files of a user's zip. Rejects with a message that says what is wrong: not a zip, more than `maxBytes` unpacked, more
 * than 10,000 entries, or an entry that is encrypted, or not a regular file or directory with a relative path inside the
 * archive.
 */
export async function unpackZip(zip: Buffer, maxBytes: number): Promise<CodeFile[]> {
  const open = promisify<Buffer, object, ZipFile>(fromBuffer);
  // What an entry says of its size is held against what it unpacks to, so a sum of what they say is a bound.
  const archive = await open(zip, { lazyEntries: true, validateEntrySizes: true, strictFileNames: true });
  if (archive.entryCount > maxEntries) throw new Error(`zip holds more than ${maxEntries} entries`);
  const files = new Map<string, CodeFile>();
  let bytes = 0;
  for await (const entry of entriesOf(archive)) {
    const path = safePath(entry.fileName);
    const mode = modeOf(entry);
    if (path === '' || entry.fileName.endsWith('/') || (mode & typeMask) === typeDirectory) continue;
    const isFile = (mode & typeMask) === typeFile || (mode & typeMask) === 0;
    const name = JSON.stringify(entry.fileName.slice(0, 120));
    if (!isFile)
      throw new Error(`zip entry ${name} is neither a file nor a directory: links are not allowed`);
    if (entry.isEncrypted()) throw new Error(`zip entry ${name} is encrypted`);
    if (files.has(path)) throw new Error(`zip holds ${name} twice`);
    bytes += entry.uncompressedSize;
    if (bytes > maxBytes) throw new Error(`zip is larger than ${maxBytes} bytes unpacked`);
    files.set(path, { path, data: await contentOf(archive, entry), executable: (mode & 0o111) !== 0 });
  }
  if (files.size === 0) throw new Error('zip holds no files');
  // A path that is both a file and a directory would fail only when unpacked, far from the user.
  directoriesOf([...files.values()]);
  return [...files.values()];
}

async function* entriesOf(archive: ZipFile): AsyncGenerator<Entry> {
  let settle: { resolve(entry: Entry): void; reject(error: Error): void } | undefined;
  archive.on('entry', (entry) => settle?.resolve(entry));
  archive.on('error', (error) => settle?.reject(error));
  for (let read = 0; read < archive.entryCount; read += 1) {
    yield await new Promise<Entry>((resolve, reject) => {
      settle = { resolve, reject };
      archive.readEntry();
    });
  }
}

async function contentOf(archive: ZipFile, entry: Entry): Promise<Buffer> {
  const open = promisify<Entry, NodeJS.ReadableStream>((one, done) =>
    archive.openReadStream(one, done as never),
  );
  const chunks: Buffer[] = [];
  for await (const chunk of await open(entry)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The mode that Unix gave it; 0 where the archive was made elsewhere. */
function modeOf({ versionMadeBy, externalFileAttributes }: Entry): number {
  return versionMadeBy >>> 8 === unix ? externalFileAttributes >>> 16 : 0;
}
