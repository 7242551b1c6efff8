import { Parser, type ReadEntry } from 'tar';

export type ReadTarEntry =
  | { type: 'directory'; path: string }
  | { type: 'file'; path: string; executable: boolean; data: Uint8Array };

/** The entries of a tar that we made, in order. */
export function readTar(tar: Uint8Array): ReadTarEntry[] {
  const entries: ReadTarEntry[] = [];
  const parser = new Parser({ strict: true, onReadEntry: collect });
  parser.end(Buffer.from(tar));
  return entries;

  function collect(entry: ReadEntry): void {
    const path = entry.path.replace(/\/$/, '');
    if (entry.type === 'Directory') {
      entries.push({ type: 'directory', path });
      entry.resume();
      return;
    }
    const executable = ((entry.mode ?? 0) & 0o111) !== 0;
    const file = { type: 'file' as const, path, executable, data: Buffer.alloc(0) };
    entries.push(file);
    const chunks: Uint8Array[] = [];
    entry.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    entry.on('end', () => {
      file.data = Buffer.concat(chunks);
    });
  }
}
