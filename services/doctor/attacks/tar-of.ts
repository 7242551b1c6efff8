import { Header, Pax } from 'tar';

export interface TarEntry {
  path: string;
  type?: 'File' | 'Directory' | 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'BlockDevice' | 'FIFO';
  data?: Uint8Array | string;
  linkpath?: string;
  mode?: number;
  /** Extended attributes, as GNU tar and libarchive write them. */
  attributes?: Record<string, Uint8Array | string>;
}

/** A tar as a hostile user would write it: whatever the entries say, unchecked. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  const blocks: Uint8Array[] = [];
  for (const { path, type = 'File', data = '', linkpath = '', mode = 0o644, attributes = {} } of entries) {
    const content = Buffer.from(data);
    const block = Buffer.alloc(512);
    const header = new Header({
      path,
      type,
      linkpath,
      mode,
      size: content.length,
      mtime: new Date(0),
      uid: 0,
      gid: 0,
    });
    const isLong = header.encode(block);
    if (Object.keys(attributes).length > 0) blocks.push(paxOf({ path, attributes }));
    else if (isLong) blocks.push(new Pax({ path }).encode());
    blocks.push(block, content, Buffer.alloc(-content.length & 511));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** An extended header of pax (POSIX.1-2001), with attributes under the names that libarchive reads. */
function paxOf({
  path,
  attributes,
}: {
  path: string;
  attributes: Record<string, Uint8Array | string>;
}): Buffer {
  const records = [
    record('path', path),
    ...Object.entries(attributes).map(([name, value]) => record(`SCHILY.xattr.${name}`, value)),
  ];
  const content = Buffer.concat(records);
  const block = Buffer.alloc(512);
  new Header({
    path: 'PaxHeader',
    type: 'ExtendedHeader',
    mode: 0o644,
    size: content.length,
    mtime: new Date(0),
  }).encode(block);
  return Buffer.concat([block, content, Buffer.alloc(-content.length & 511)]);
}

/** "LENGTH NAME=VALUE\n", where the length counts itself too. */
function record(name: string, value: Uint8Array | string): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${name}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length + 1;
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
  return Buffer.concat([Buffer.from(`${length}`), rest]);
}
