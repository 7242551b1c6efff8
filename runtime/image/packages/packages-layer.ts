import { lstat, mkdir, readdir, rm, rmdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageTask } from '../shared-task.ts';
import type { Archive } from './apt.ts';
import { type LayerFile, packLayer } from './layer-tar.ts';
import { createRun } from './run.ts';

/** Of no use to a program. */
const unwanted = [
  'man',
  'info',
  'locale',
  'lintian',
  'bug',
  'doc-base',
  'gtk-doc',
  'help',
  'menu',
  'metainfo',
];
/** In Debian's base images links to what is of the same name in /usr, and in many packages directories still. */
const merged = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

export interface LayerOptions extends ImageTask {
  /** An empty directory on the store's filesystem. */
  directory: string;
}

/**
 * One layer of what is in the archives of packages, without documentation and translations but with licences; all of it
 * is root's. None of their scripts is run. The same packages make the same layer.
 */
export async function packagesLayer(
  archives: readonly Archive[],
  { directory, onEvent, signal }: LayerOptions,
): Promise<LayerFile> {
  const { PATH = '/usr/bin:/bin' } = process.env;
  const run = createRun(directory, signal, { PATH });
  const root = join(directory, 'root');
  for (const name of merged) {
    await mkdir(join(root, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(root, name));
  }
  const sizes = await Promise.all(archives.map(async ({ path }) => (await stat(path)).size));
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  onEvent({ type: 'step', step: 'unpack', subject: `${archives.length} packages` });
  let doneBytes = 0;
  for (const [index, { path }] of archives.entries()) {
    await run('bash', ['-c', unpack, 'unpack', path, root]);
    await rm(path);
    doneBytes += sizes[index] ?? 0;
    onEvent({ type: 'progress', doneBytes, totalBytes });
  }
  await tidy(root);
  // Modes decide who can read what is unpacked; an ordinary user cannot pack what he himself may not read.
  await run('chmod', ['-R', 'u+rwX,go-w', root]);
  await run('chmod', ['755', root]);
  const layer = await packLayer(root, join(directory, 'layer.tar'), run);
  await rm(root, { recursive: true });
  return layer;
}

const excluded = unwanted.map((name) => `--exclude='./usr/share/${name}/*'`).join(' ');
/** A link to a directory stays one, where an archive has a directory of that name. */
const unpack = `set -eo pipefail
dpkg-deb --fsys-tarfile "$1" | tar -x -p --no-same-owner --keep-directory-symlink ${excluded} -C "$2"`;

async function tidy(root: string): Promise<void> {
  const documents = join(root, 'usr/share/doc');
  for (const name of await readdir(documents).catch(() => [])) {
    const path = join(documents, name);
    if (!(await lstat(path)).isDirectory()) continue;
    for (const file of await readdir(path))
      if (file !== 'copyright') await rm(join(path, file), { recursive: true });
  }
  for (const name of merged) {
    const directory = join(root, 'usr', name);
    if ((await readdir(directory)).length > 0) continue;
    await rmdir(directory);
    await rm(join(root, name));
  }
}
