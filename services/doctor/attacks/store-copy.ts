import { execFile } from 'node:child_process';
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serviceId } from '../../../runtime/image/ids.ts';

const run = promisify(execFile);

/**
 * Makes of `target`, which may exist, a store to change at will with the images of `source`: its files are linked where that
 * is possible. Layers are never written again, so a link is as good as a copy; an attack that could write to one would
 * be seen by its hash.
 */
export async function copyStore(source: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  await run('cp', ['-al', `${source}/.`, target]).catch(async () => {
    await run('rm', ['-rf', target]);
    await mkdir(target, { recursive: true });
    await run('cp', ['-a', '--reflink=auto', `${source}/.`, target]);
  });
  for (const name of ['', 'layers', 'layer-info', 'scratch', 'oci', 'oci/blobs', 'oci/blobs/sha256']) {
    await mkdir(join(target, name), { recursive: true });
    await chown(join(target, name), serviceId, serviceId);
  }
}
