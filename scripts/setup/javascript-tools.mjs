import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runCommand } from './progress.mjs';

const parts = ['package.json', 'package-lock.json'];

/** Bun and Deno, as npm has them, in a directory of their own: they are ten times the size of all else. */
export function javascriptTools(repo, storeDir) {
  const list = join(repo, 'test/support/javascript-tools');
  // One directory for each list: what another revision of the tests needs stays as it is.
  const hash = createHash('sha256')
    .update(readFileSync(join(list, 'package-lock.json')))
    .digest('hex');
  const directory = join(dirname(storeDir), 'test-tools', `javascript-${hash.slice(0, 16)}`);
  return {
    name: 'JavaScript runtimes of the tests',
    howToGet: `npm ci in a copy of ${list} at ${directory}`,
    needsApt: false,

    isDone: () => existsSync(directory),

    async run(report) {
      report('Bun and Deno');
      mkdirSync(dirname(directory), { recursive: true });
      const scratch = mkdtempSync(`${directory}-`);
      try {
        for (const part of parts) copyFileSync(join(list, part), join(scratch, part));
        const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
        await runCommand('npm', ['ci', ...options], { cwd: scratch });
        renameSync(scratch, directory);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    },
  };
}
