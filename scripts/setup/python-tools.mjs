import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runCommand } from './progress.mjs';

/** The Python packages that tests call, in a directory of their own: the machine's Python is left as it is. */
export function pythonTools(repo, storeDir) {
  const requirements = join(repo, 'test/support/python-tools.txt');
  // One directory for each list: what another revision of the tests needs stays as it is.
  const list = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const directory = join(dirname(storeDir), 'test-tools', `python-${list}`);
  return {
    name: 'Python packages of the tests',
    howToGet: `pip install --no-deps --target ${directory} --requirement ${requirements}`,
    needsApt: false,

    isDone: () => existsSync(directory),

    async run(report) {
      report('schemathesis and what it needs');
      mkdirSync(dirname(directory), { recursive: true });
      const scratch = mkdtempSync(`${directory}-`);
      try {
        const options = ['--quiet', '--no-deps', '--disable-pip-version-check', '--root-user-action=ignore'];
        await runCommand('python3', [
          ...['-m', 'pip', 'install', ...options],
          ...['--target', scratch, '--requirement', requirements],
        ]);
        renameSync(scratch, directory);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    },
  };
}
