import { execFile } from 'node:child_process';
import { access, chown, mkdir } from 'node:fs/promises';
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
  // Below, what is not there is taken for what has gone meanwhile.
  await access(join(source, 'layers'));
  await mkdir(target, { recursive: true });
  await copy('-al', source, target).catch(async () => {
    await run('rm', ['-rf', target]);
    await mkdir(target, { recursive: true });
    await copy('-a', source, target);
  });
  for (const name of ['', 'layers', 'layer-info', 'scratch', 'oci', 'oci/blobs', 'oci/blobs/sha256']) {
    await mkdir(join(target, name), { recursive: true });
    await chown(join(target, name), serviceId, serviceId);
  }
}

/** Who serves from the source goes on meanwhile: what is under way there has another name by then, or is gone. */
async function copy(how: '-al' | '-a', source: string, target: string): Promise<void> {
  const env = { ...process.env, LC_ALL: 'C' };
  const maxBuffer = 64 * 1024 * 1024;
  await run('cp', [how, '--reflink=auto', `${source}/.`, target], { env, maxBuffer }).catch((error) => {
    const complaints = String(error.stderr).trimEnd().split('\n');
    if (!complaints.every((line) => line.endsWith(': No such file or directory'))) throw error;
  });
}
