/**
 * Takes the versions that the mirror has today into the lock of the base images' Debian packages, as root:
 * `node --import tsx scripts/renew-debian-lock.ts`. The images' digests change with it.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRun } from '../runtime/image/packages/run.ts';
import { buildDebianRoot } from './base-images/debian-layer.ts';
import { writeLock } from './base-images/package-lock.ts';

process.umask(0o022);
const scratch = await mkdtemp(join(tmpdir(), 'oncebox-renew-'));
try {
  const root = join(scratch, 'root');
  await mkdir(root);
  const run = createRun(scratch, new AbortController().signal);
  const { packages } = await buildDebianRoot(root, run, undefined);
  console.log(`${await writeLock(packages)}: ${packages.length} packages`);
} finally {
  await rm(scratch, { recursive: true, force: true });
}
