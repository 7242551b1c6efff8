import { Header, Pax } from 'tar';

export type TarItem =
  | { path: string; type: 'Directory' }
  | { path: string; type: 'SymbolicLink'; linkpath: string }
  | { path: string; type: 'File'; data: Uint8Array }
  /** `stream` must yield `size` bytes, no more and no less; the tar ends with an error otherwise. */
  | { path: string; type: 'File'; size: number; stream: () => AsyncIterable<Uint8Array> };

/** The bytes of a tar, made as they are read. All is root's and of the epoch; directories and files are 0755, 0644. */
export async function* tarOf(items: Iterable<TarItem> | AsyncIterable<TarItem>): AsyncGenerator<Uint8Array> {
  for await (const item of items) {
    const size = item.type !== 'File' ? 0 : 'data' in item ? item.data.length : item.size;
    yield encodeHeader(item, size);
    if (item.type !== 'File') continue;
    let done = 0;
    for await (const chunk of 'data' in item ? [item.data] : item.stream()) {
      done += chunk.length;
      yield chunk;
    }
    if (done !== size) throw new Error(`cannot pack ${item.path}: it has ${done} bytes and not ${size}`);
    yield Buffer.alloc(-size & 511);
  }
  yield Buffer.alloc(1024);
}

function encodeHeader(item: TarItem, size: number): Uint8Array {
  const fields = {
    path: item.path,
    type: item.type,
    linkpath: item.type === 'SymbolicLink' ? item.linkpath : '',
    mode: item.type === 'Directory' ? 0o755 : 0o644,
    size,
    mtime: new Date(0),
    uid: 0,
    gid: 0,
  };
  const block = Buffer.alloc(512);
  if (!new Header(fields).encode(block)) return block;
  const { path, linkpath } = fields;
  return Buffer.concat([
    new Pax(linkpath === '' ? { path, size } : { path, linkpath, size }).encode(),
    block,
  ]);
}
