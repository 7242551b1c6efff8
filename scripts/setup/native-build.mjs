import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './progress.mjs';

/** Whatever make reads: C, the interpreters' own code, and (by the lockfile) the Node-API headers. */
const sources = ['runtime/native', 'runtime/interpreters', 'package-lock.json'];

export function nativeBuild(repo) {
  const native = join(repo, 'runtime/native');
  const stamp = join(native, 'build/.made');

  return {
    name: 'native build',
    howToGet: 'make -C runtime/native',

    isDone() {
      if (!existsSync(stamp) || !existsSync(join(native, 'build/oncebox-launcher'))) return false;
      const madeMs = statSync(stamp).mtimeMs;
      return sources.every((source) => newestMs(join(repo, source)) < madeMs);
    },

    async run() {
      rmSync(stamp, { force: true });
      const started = new Date();
      await runCommand('make', ['-s', '-C', native]);
      writeFileSync(stamp, '');
      // The start, not the end: what was edited while make ran may not be in the result.
      utimesSync(stamp, started, started);
    },
  };
}

/** The newest time of a file or directory below `path`: a directory's tells of files added and removed. */
function newestMs(path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  const names = readdirSync(path);
  const sources = names.filter((name) => name !== 'build' && name !== 'build-asan');
  // Making `build` touches the directory it is in, so that one's own time says nothing.
  const own = sources.length === names.length ? stats.mtimeMs : 0;
  return Math.max(own, ...sources.map((name) => newestMs(join(path, name))));
}
