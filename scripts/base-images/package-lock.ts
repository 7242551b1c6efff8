import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { architecture } from '../../runtime/image/platform.ts';

const lockPath = join(import.meta.dirname, `debian-packages.${architecture}.lock`);
const header = `# Debian packages of the base images, with their exact versions.
# Renewed by: node --import tsx scripts/renew-debian-lock.ts
`;

/** `name=version` of every package, dependencies too; undefined for an architecture that nobody has locked. */
export async function readLock(path = lockPath): Promise<string[] | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text?.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

export async function writeLock(packages: readonly string[]): Promise<string> {
  await writeFile(lockPath, `${header}${packages.join('\n')}\n`);
  return lockPath;
}
