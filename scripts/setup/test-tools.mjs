import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { runCommand } from './progress.mjs';

/**
 * What only tests need, by the command they call. Debian's packages are unpacked beside the store and not installed:
 * docker-registry would otherwise be a service that starts with the machine.
 */
const tools = [
  { command: 'umoci', packages: ['umoci'] },
  { command: 'docker-registry', packages: ['docker-registry'] },
  { command: 'fincore', packages: ['util-linux-extra'] },
  { command: 'musl-gcc', packages: ['musl', 'musl-dev', 'musl-tools'] },
  { command: 'bzip2', packages: ['bzip2'] },
  { command: 'openssl', packages: ['openssl'] },
];

/** Where the tests look besides PATH; test/support/tools.ts knows it too. */
const testToolsDir = (storeDir) => join(dirname(storeDir), 'test-tools');

export function testTools(storeDir) {
  const directory = testToolsDir(storeDir);
  const missing = () => tools.filter(({ command }) => !isThere(command, directory));
  return {
    name: 'test tools',
    howToGet: `apt-get install ${tools.flatMap(({ packages }) => packages).join(' ')}`,
    needsApt: true,

    isDone: () => missing().length === 0,

    async run(report) {
      const commands = missing().map(({ command }) => command);
      const packages = missing().flatMap(({ packages }) => packages);
      report(packages.join(', '));
      mkdirSync(join(directory, 'bin'), { recursive: true });
      const scratch = mkdtempSync(join(directory, 'unpacking-'));
      try {
        await download(packages, scratch, report);
        const root = join(scratch, 'root');
        for (const name of readdirSync(scratch).filter((name) => name.endsWith('.deb'))) {
          await runCommand('dpkg-deb', ['--extract', join(scratch, name), root]);
        }
        // One directory a set-up: what an earlier one unpacked stays as it is.
        const kept = join(directory, packages.join('+'));
        rmSync(kept, { recursive: true, force: true });
        renameSync(root, kept);
        for (const command of commands) offer(command, kept, directory);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    },
  };
}

async function download(packages, cwd, report) {
  // Root's apt hands over to a user of its own, who may not write here; that is as good as a warning.
  const options = ['-q', '-o', 'APT::Sandbox::User=root'];
  const fetch = () => runCommand('apt-get', ['download', ...options, ...packages], { cwd });
  try {
    await fetch();
  } catch (error) {
    // Absent or outdated package lists are the likely cause, and refreshing them costs seconds: only now.
    if (error.stopped) throw error;
    report('refreshing the package lists');
    await runCommand('apt-get', ['update', '-q', '-o', 'DPkg::Lock::Timeout=300']);
    report(packages.join(', '));
    await fetch();
  }
}

function offer(command, root, directory) {
  const found = ['usr/bin', 'usr/sbin', 'bin'].map((path) => join(root, path, command)).find(existsSync);
  if (found === undefined) throw new Error(`cannot find ${command} in what was unpacked to ${root}`);
  const target = join(directory, 'bin', command);
  rmSync(target, { force: true });
  if (command !== 'musl-gcc') return symlinkSync(found, target);
  // Its specs name the directories where the package would have been installed.
  const [library] = readdirSync(join(root, 'usr/lib')).filter((name) => name.endsWith('-linux-musl'));
  const specs = join(root, 'usr/lib', library, 'musl-gcc.specs');
  const text = readFileSync(specs, 'utf8').replaceAll(
    /\/usr\/(lib|include)\/(?=[a-z0-9_]+-linux-musl)/g,
    `${root}/usr/$1/`,
  );
  writeFileSync(specs, text);
  writeFileSync(target, `#!/bin/sh\nexec "\${REALGCC:-cc}" "$@" -specs "${specs}"\n`, { mode: 0o755 });
}

function isThere(command, directory) {
  const places = [join(directory, 'bin'), ...(process.env.PATH ?? '').split(delimiter)];
  return places.some((place) => place !== '' && existsSync(join(place, command)));
}
