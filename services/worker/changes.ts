import { createHash } from 'node:crypto';
import type { ReadEntry } from 'tar';
import type { Change } from '../../sdk/contract/image.ts';
import { readTar } from './read-tar.ts';

const maxChanges = 10_000;
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
  await readTar(tar, {
    // The parser itself keeps only the keys that it knows.
    meta(text) {
      const change = changeOf(text);
      if (change !== undefined) isNew = change !== 'changed';
    },
    entry(entry) {
      const kind = isNew ? 'added' : 'changed';
      isNew = true;
      if (changes.length < maxChanges) take(entry, kind);
      else truncated = true;
      entry.resume();
    },
  });
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
