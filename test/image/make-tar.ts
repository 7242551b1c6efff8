import { gzipSync } from 'node:zlib';
import { Header, Pax } from 'tar';

export interface TarEntry {
  path: string;
  type?: 'File' | 'Directory' | 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'BlockDevice' | 'FIFO';
  data?: string | Uint8Array;
  linkpath?: string;
  mode?: number;
  /** What the header says where it is not the length of the data. */
  size?: number;
}

/** A tar as a hostile user would write it: whatever the entries say, unchecked. */
export function makeTar(entries: readonly TarEntry[], { end = true } = {}): Buffer {
  const blocks: Uint8Array[] = [];
  for (const { path, type = 'File', data = '', linkpath = '', mode = 0o644, size } of entries) {
    const content = Buffer.from(data);
    const block = Buffer.alloc(512);
    const header = new Header({
      path,
      type,
      linkpath,
      mode,
      size: size ?? content.length,
      mtime: new Date(0),
    });
    if (header.encode(block)) blocks.push(new Pax({ path }).encode());
    blocks.push(block, content, Buffer.alloc(-content.length & 511));
  }
  if (end) blocks.push(Buffer.alloc(1024));
  return Buffer.concat(blocks);
}

export function makeBundle(entries: readonly TarEntry[]): Buffer {
  return gzipSync(makeTar(entries));
}

/** Each of these must be refused by whoever unpacks: the gateway for a bundle, the worker for a layer. */
export const hostileEntries: Record<string, TarEntry> = {
  'a path that climbs out': { path: '../outside', data: 'x' },
  'a path that climbs out in the middle': { path: 'a/../../outside', data: 'x' },
  'an absolute path': { path: '/etc/oncebox-was-here', data: 'x' },
  'a symbolic link': { path: 'link', type: 'SymbolicLink', linkpath: '/etc' },
  'a hard link': { path: 'link', type: 'Link', linkpath: '/etc/passwd' },
  'a character device': { path: 'null', type: 'CharacterDevice' },
  'a block device': { path: 'disk', type: 'BlockDevice' },
  'a FIFO': { path: 'pipe', type: 'FIFO' },
  'a whiteout': { path: 'a/.wh.b', data: '' },
  'an opaque whiteout': { path: '.wh..wh..opq', data: '' },
};
