import { readFile, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { create } from 'tar';
import { CliError } from './cli-error.ts';
import { listFiles } from './list-files.ts';

/**
 * Packs a build's context as a gzipped tar, without what `.dockerignore` names. The Dockerfile and `.dockerignore` are
 * always in it: the builder needs them, though COPY does not find them when they are ignored.
 */
export async function packContext(directory: string, dockerfile: string): Promise<AsyncIterable<Buffer>> {
  const isDirectory = await stat(directory).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isDirectory) throw new CliError(`cannot build from ${directory}: it is not a directory`);
  const file = normalize(dockerfile);
  if (file.startsWith('..') || file.startsWith('/'))
    throw new CliError(`cannot build with ${dockerfile}: give its path inside ${directory}`);
  await readFile(join(directory, file)).catch(() => {
    throw new CliError(`cannot read ${join(directory, file)}: a build needs a Dockerfile there, or -f`);
  });
  const paths = await listFiles(directory, {
    ignoreFile: '.dockerignore',
    always: [file, '.dockerignore'],
  });
  // Entry by entry: what lies below a directory was chosen one by one. Owners are not the image's business.
  return create({ cwd: directory, gzip: true, portable: true, noDirRecurse: true }, paths);
}
