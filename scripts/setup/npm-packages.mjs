import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './progress.mjs';

export function npmPackages(repo) {
  return {
    name: 'npm packages',
    howToGet: 'npm ci',

    /** npm writes its own record of the tree last, so an interrupted installation does not count as one. */
    isDone() {
      const locked = readPackages(join(repo, 'package-lock.json'));
      const installed = readPackages(join(repo, 'node_modules/.package-lock.json'));
      if (!locked || !installed) return false;
      return Object.entries(locked).every(([path, wanted]) => {
        // The root itself, and what npm leaves out on this platform.
        if (path === '' || wanted.optional) return true;
        const found = installed[path];
        return found?.version === wanted.version && found?.integrity === wanted.integrity;
      });
    },

    async run() {
      await runCommand('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: repo });
    },
  };
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
