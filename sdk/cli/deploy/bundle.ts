import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { create } from 'tar';
import { CliError } from '../cli-error.ts';
import { listFiles } from '../list-files.ts';
import { settingsFileName } from './settings-file.ts';

const ignoreFileName = '.onceboxignore';

/** What no function needs, or what should not lie on a platform; `!.env` in the file takes a line back. */
const ignored = [
  ...[ignoreFileName, settingsFileName],
  ...['**/.git', '**/.hg', '**/.svn', '**/.DS_Store', '**/__pycache__', '**/*.pyc', '**/.venv'],
  // Links to programs, which are of use in a shell only.
  '**/node_modules/.bin',
  ...['.env', '.env.*'],
];

/** The files of a function's directory, relative to it; what links point at is sent in their place. */
export async function functionFiles(directory: string): Promise<string[]> {
  const stats = await stat(directory).catch(() => undefined);
  if (!stats?.isDirectory()) throw new CliError(`cannot deploy ${directory}: it is not a directory`);
  const paths = await listFiles(directory, { ignoreFile: ignoreFileName, ignored, followsLinks: true });
  const kinds = await Promise.all(paths.map((path) => kindOf(join(directory, path))));
  const broken = kinds.indexOf('other');
  if (broken >= 0) {
    throw new CliError(
      `cannot deploy ${join(directory, paths[broken] ?? '')}: it is no file, or a link to nothing; leave it out in ${ignoreFileName}`,
    );
  }
  const files = paths.filter((_, index) => kinds[index] === 'file');
  if (files.length === 0) throw new CliError(`cannot deploy ${directory}: there are no files in it`);
  return files;
}

/** A tar.gz of them, the same at every packing. */
export async function packFunction(directory: string, files: readonly string[]): Promise<Buffer> {
  // Names that begin with "@" would be taken for archives to include.
  const names = files.map((file) => (file.startsWith('@') ? `./${file}` : file));
  const options = { cwd: directory, gzip: true, portable: true, noDirRecurse: true, follow: true };
  return buffer(create({ ...options, mtime: new Date(0) }, names));
}

async function kindOf(path: string): Promise<'file' | 'directory' | 'other'> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile()) return 'file';
  return stats?.isDirectory() ? 'directory' : 'other';
}
