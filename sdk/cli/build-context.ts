import { readdir, readFile, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import dockerignore from '@balena/dockerignore';
import { create } from 'tar';
import { CliError } from './cli-error.ts';

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
  const paths = await listContext(directory, [file, '.dockerignore']);
  // Entry by entry: what lies below a directory was chosen one by one. Owners are not the image's business.
  return create({ cwd: directory, gzip: true, portable: true, noDirRecurse: true }, paths);
}

/** What is sent, relative to `directory`, parents first. */
async function listContext(directory: string, always: readonly string[] = []): Promise<string[]> {
  const rules = await readFile(join(directory, '.dockerignore'), 'utf8').catch(() => '');
  const matcher = dockerignore.default({ ignorecase: false }).add(rules);
  // A later `!` may bring back what lies in an ignored directory, so that one is entered all the same.
  const hasException = /^\s*!/m.test(rules);
  const found: string[] = [];

  async function walk(parent: string): Promise<boolean> {
    let isAnySent = false;
    const entries = await readdir(join(directory, parent), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = parent === '' ? entry.name : `${parent}/${entry.name}`;
      const isSent = always.includes(path) || !matcher.ignores(path);
      const index = found.length;
      if (isSent) found.push(path);
      if (entry.isDirectory()) {
        const mayHold = isSent || hasException || always.some((one) => one.startsWith(`${path}/`));
        const isBelowSent = mayHold && (await walk(path));
        if (!isSent && isBelowSent) found.splice(index, 0, path);
        isAnySent ||= isBelowSent;
      }
      isAnySent ||= isSent;
    }
    return isAnySent;
  }
  await walk('');
  return found;
}
