import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Parser, type ReadEntry } from 'tar';
import type { Change } from '../../sdk/contract/image.ts';

const maxChanges = 10_000;
/** The parser works in one go; between such pieces others have their turn. */
const pieceBytes = 1024 * 1024;
const blockBytes = 512;
const whiteout = '.wh.';
const opaque = '.wh..wh..opq';

/**
 * What the tar of a writable layer says: an OCI layer in which pax records `ONCEBOX.change` tell new paths from changed
 * ones, and whiteouts are the deleted. A directory that replaced another is `changed`; what it hides is not listed.
 * What the program wrote is in there, so nothing is believed beyond its shape. Rejects when the tar is malformed.
 */
export async function readChanges(tar: Uint8Array): Promise<{ changes: Change[]; truncated: boolean }> {
  const changes: Change[] = [];
  const files = new Map<string, Change>();
  let truncated = false;
  let isNew = true;
  const parser = new Parser({ strict: true, brotli: false, zstd: false });
  // Before each entry that has extended headers; the parser itself keeps only the keys that it knows.
  parser.on('meta', (text: string) => {
    const change = changeOf(text);
    if (change !== undefined) isNew = change !== 'changed';
  });
  parser.on('entry', (entry: ReadEntry) => {
    const kind = isNew ? 'added' : 'changed';
    isNew = true;
    if (changes.length < maxChanges) take(entry, kind);
    else truncated = true;
    entry.resume();
  });

  // A compressed tar would be inflated, unbounded; and the parser wants to see one entry at least.
  if (tar[0] === 0x1f && tar[1] === 0x8b) throw new Error('it is compressed');
  if (tar.subarray(0, blockBytes).every((byte) => byte === 0)) return { changes, truncated };
  await parse(parser, tar);
  return { changes, truncated };

  function take(entry: ReadEntry, kind: 'added' | 'changed'): void {
    const path = `/${entry.path.replace(/^(\.?\/)+/, '').replace(/\/$/, '')}`;
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (path === '/' || path === '/.' || name === opaque) return;
    if (name.startsWith(whiteout)) {
      const gone = path.slice(0, -name.length) + name.slice(whiteout.length);
      changes.push({ kind: 'deleted', path: gone, type: 'other', sizeBytes: 0 });
      return;
    }
    const change: Change = { kind, path, type: typeOf(entry.type), sizeBytes: 0 };
    changes.push(change);
    if (entry.type === 'Link') {
      const target = files.get(`/${entry.linkpath?.replace(/^(\.?\/)+/, '')}`);
      if (target) Object.assign(change, { sizeBytes: target.sizeBytes, sha256: target.sha256 });
    } else if (change.type === 'file') {
      files.set(path, change);
      change.sizeBytes = entry.size;
      const hash = createHash('sha256');
      entry.on('data', (chunk: Uint8Array) => hash.update(chunk));
      entry.on('end', () => {
        change.sha256 = hash.digest('hex');
      });
    }
  }
}

async function parse(parser: Parser, tar: Uint8Array): Promise<void> {
  let failure: Error | undefined;
  parser.on('error', (error: Error) => {
    failure ??= error;
  });
  const ended = once(parser, 'end');
  ended.catch(() => {}); // it rejects with the error that we throw ourselves
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
  for (let at = 0; at < bytes.length && failure === undefined; at += pieceBytes) {
    parser.write(bytes.subarray(at, at + pieceBytes));
    await new Promise(setImmediate);
  }
  if (failure !== undefined) throw failure;
  parser.end();
  await ended;
}

/** Of a pax header's records, `<length> <key>=<value>\n`. */
function changeOf(text: string): string | undefined {
  return /^\d+ ONCEBOX\.change=(\w+)$/m.exec(text)?.[1];
}

function typeOf(type: string): Change['type'] {
  switch (type) {
    case 'File':
    case 'OldFile':
    case 'ContiguousFile':
    case 'Link':
      return 'file';
    case 'Directory':
      return 'directory';
    case 'SymbolicLink':
      return 'symlink';
    default:
      return 'other';
  }
}
