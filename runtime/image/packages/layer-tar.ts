import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Run } from './run.ts';

export interface LayerFile {
  /** Uncompressed tar, so its digest is the diffID. */
  path: string;
  digest: string;
  size: number;
}

/** Makes a root the tar of a layer: the same files give the same bytes, whenever and by whom they were made. */
export async function packLayer(root: string, path: string, run: Run): Promise<LayerFile> {
  const owner = ['--owner=0', '--group=0', '--numeric-owner'];
  // GNU tar's default extended headers carry its process id and file times.
  const noTimes = '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime';
  await run('chmod', ['-R', 'u-s,g-s', root]);
  await run('tar', [
    '-cf',
    path,
    '--sort=name',
    '--mtime=@0',
    ...owner,
    '--format=posix',
    noTimes,
    '-C',
    root,
    '.',
  ]);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return { path, digest: `sha256:${hash.digest('hex')}`, size: (await stat(path)).size };
}
