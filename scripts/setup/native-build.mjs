import { existsSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestMs } from './newest.mjs';
import { runCommand } from './progress.mjs';

const made = ['native/build', 'native/build-asan', 'native/build-unfiltered', 'native/build-fuzz'];
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
      return sources.every((source) => newestMs(join(repo, source), made) < madeMs);
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
