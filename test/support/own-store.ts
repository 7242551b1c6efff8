import { execFile } from 'node:child_process';
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serviceId } from '../../runtime/image/ids.ts';
import { storeDir } from './zones.ts';

const run = promisify(execFile);

/** A store to change at will, with the base images of set-up: their files are linked where that is possible. */
export async function copyStore(target: string): Promise<void> {
  await run('cp', ['-al', storeDir, target]).catch(async () => {
    await run('rm', ['-rf', target]);
    await run('cp', ['-a', '--reflink=auto', storeDir, target]);
  });
  for (const name of ['', 'layers', 'layer-info', 'scratch', 'oci', 'oci/blobs', 'oci/blobs/sha256']) {
    await mkdir(join(target, name), { recursive: true });
    await chown(join(target, name), serviceId, serviceId);
  }
}
