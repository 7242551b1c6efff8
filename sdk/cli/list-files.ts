import type { Dirent } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import dockerignore from '@balena/dockerignore';

export interface ListOptions {
  /** Its lines, in the directory itself, name what is left out, as `.dockerignore` does. */
  ignoreFile: string;
  /** Lines that go before those of the file, which may take them back with `!`. */
  ignored?: readonly string[];
  /** What is listed whatever is left out. */
  always?: readonly string[];
  /** Whether what a link points at is listed in its place; else the link itself is. */
  followsLinks?: boolean;
}

/** What is sent of a directory, relative to it: files and directories, parents first, sorted by name. */
export async function listFiles(
  directory: string,
  { ignoreFile, ignored = [], always = [], followsLinks = false }: ListOptions,
): Promise<string[]> {
  const rules = await readFile(join(directory, ignoreFile), 'utf8').catch(() => '');
  const matcher = dockerignore
    .default({ ignorecase: false })
    .add([...ignored])
    .add(rules);
  // A later `!` may bring back what lies in an ignored directory, so that one is entered all the same.
  const hasException = /^\s*!/m.test(rules);
  const found: string[] = [];

  /** `above`: the real paths of the directories that this one is in; a link may lead back to one. */
  async function walk(parent: string, above: readonly string[]): Promise<boolean> {
    let isAnySent = false;
    const real = followsLinks ? await realpath(join(directory, parent)) : '';
    if (followsLinks && above.includes(real)) return false;
    const entries = await readdir(join(directory, parent), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = parent === '' ? entry.name : `${parent}/${entry.name}`;
      const isSent = always.includes(path) || !matcher.ignores(path);
      const index = found.length;
      if (isSent) found.push(path);
      if (await isDirectory(entry, path)) {
        const mayHold = isSent || hasException || always.some((one) => one.startsWith(`${path}/`));
        const isBelowSent = mayHold && (await walk(path, [...above, real]));
        if (!isSent && isBelowSent) found.splice(index, 0, path);
        isAnySent ||= isBelowSent;
      }
      isAnySent ||= isSent;
    }
    return isAnySent;
  }

  async function isDirectory(entry: Dirent, path: string): Promise<boolean> {
    if (!followsLinks || !entry.isSymbolicLink()) return entry.isDirectory();
    return stat(join(directory, path)).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
  }

  await walk('', []);
  return found;
}
