import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runCommand } from './progress.mjs';

/** What comes from the distribution, found by the file that is used, however it was installed. */
const tools = [
  { what: 'redis-server', package: 'redis-server', isThere: () => onPath('redis-server') },
  { what: 'a C compiler (cc)', package: 'gcc', isThere: () => onPath('cc') },
  { what: 'the C library headers', package: 'libc6-dev', isThere: () => existsSync('/usr/include/stdio.h') },
  { what: 'make', package: 'make', isThere: () => onPath('make') },
  {
    what: 'the libseccomp headers',
    package: 'libseccomp-dev',
    isThere: () => existsSync('/usr/include/seccomp.h'),
  },
  { what: 'mmdebstrap', package: 'mmdebstrap', isThere: () => onPath('mmdebstrap') },
  {
    what: 'the libarchive headers',
    package: 'libarchive-dev',
    isThere: () => existsSync('/usr/include/archive.h'),
  },
  { what: 'skopeo', package: 'skopeo', isThere: () => onPath('skopeo') },
  { what: 'zstd', package: 'zstd', isThere: () => onPath('zstd') },
  { what: 'buildah', package: 'buildah', isThere: () => onPath('buildah') },
  {
    what: "Debian's archive keys",
    package: 'debian-archive-keyring',
    isThere: () => existsSync('/usr/share/keyrings/debian-archive-keyring.gpg'),
  },
  { what: 'setpriv and flock', package: 'util-linux', isThere: () => onPath('setpriv') && onPath('flock') },
];

/** What tests are written in besides; ordinary programs, so they are installed. */
const toolsOfTests = [
  {
    what: 'Python with pip',
    package: 'python3-pip',
    isThere: () => onPath('python3') && (onPath('pip3') || onPath('pip')),
  },
  { what: 'clang', package: 'clang', isThere: () => onPath('clang') },
  {
    what: "clang's sanitizers and fuzzer",
    package: 'libclang-rt-dev',
    // Ubuntu 22.04 has no such package: there clang brings them.
    isThere: () => hasLibFuzzer() || readFileSync('/etc/os-release', 'utf8').includes('VERSION_ID="22.04"'),
  },
  { what: 'zsh', package: 'zsh', isThere: () => onPath('zsh') },
  { what: 'bubblewrap', package: 'bubblewrap', isThere: () => onPath('bwrap') },
  { what: 'runc', package: 'runc', isThere: () => onPath('runc') },
  { what: 'gVisor', package: 'runsc', isThere: () => onPath('runsc') },
  // Ubuntu has it as a snap only; there the test of the load tester's page is skipped.
  {
    what: 'chromium',
    package: 'chromium',
    isThere: () => onPath('chromium') || !readFileSync('/etc/os-release', 'utf8').includes('ID=debian'),
  },
];

/** In a directory of clang's version: `/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a`. */
function hasLibFuzzer() {
  const below = (directory) =>
    (existsSync(directory) ? readdirSync(directory) : []).map((name) => join(directory, name));
  return below('/usr/lib')
    .filter((path) => path.startsWith('/usr/lib/llvm-'))
    .flatMap((llvm) => below(join(llvm, 'lib/clang')))
    .flatMap((version) => below(join(version, 'lib/linux')))
    .some((path) => path.includes('libclang_rt.fuzzer-'));
}

export function missingTools({ forTests }) {
  return [...tools, ...(forTests ? toolsOfTests : [])].filter((tool) => !tool.isThere());
}

/** What to tell someone for whom nothing can be installed: everything that is missing, and how to get each. */
export function listHowToGet(platform, missing, steps) {
  const reason = platform.isRoot
    ? `set-up does not know ${platform.name} (it knows Debian 12 and Ubuntu 22.04, and later)`
    : 'set-up is not running as root';
  const aptName = (tool) =>
    platform.isKnown ? `apt-get install ${tool.package}` : `Debian calls it ${tool.package}`;
  const lines = [
    ...missing.map((tool) => `  ${tool.what}: ${aptName(tool)}`),
    ...steps.map((step) => `  ${step.name}: ${step.howToGet}`),
  ];
  return [
    `cannot set up oncebox: ${reason}, and this is missing:`,
    ...lines,
    `Nothing was changed. ${platform.isRoot ? 'Install the above' : 'Run "npm run setup" as root, or install the above'} and try again.`,
  ].join('\n');
}

export async function aptPackages(missing, report) {
  const packages = missing.map((tool) => tool.package);
  report(packages.join(', '));
  const allowServices = forbidServices();
  try {
    await installOrRefresh(packages, report);
    // Ours is started by `npm start` with its own data: Debian's would sit on port 6379 from the next boot on.
    if (packages.includes('redis-server')) {
      await runCommand('update-rc.d', ['redis-server', 'disable']).catch(() => {});
    }
  } finally {
    allowServices();
  }
}

async function installOrRefresh(packages, report) {
  const options = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];
  const install = () => runCommand('apt-get', ['install', ...options, ...packages], { env: quiet });
  try {
    await install();
  } catch (error) {
    // Absent or outdated package lists are the likely cause, and refreshing them costs seconds: only now.
    if (error.stopped) throw error;
    report('refreshing the package lists');
    await runCommand('apt-get', ['update', '-q', '-o', 'DPkg::Lock::Timeout=300'], { env: quiet });
    report(packages.join(', '));
    await install();
  }
}

const quiet = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l', NEEDRESTART_SUSPEND: '1' };

/**
 * While packages are installed, invoke-rc.d and deb-systemd-invoke ask this file whether services may start
 * (Debian policy 9.3.3). An administrator's own is left alone. Returns what takes it away again.
 */
function forbidServices() {
  const path = '/usr/sbin/policy-rc.d';
  const script = '#!/bin/sh\n# Written by oncebox set-up, for as long as it installs packages.\nexit 101\n';
  const isOurs = !existsSync(path) || readFileSync(path, 'utf8') === script;
  if (!isOurs) return () => {};
  writeFileSync(path, script, { mode: 0o755 });
  return () => rmSync(path, { force: true });
}

function onPath(command) {
  // An ordinary user's PATH often lacks the sbin directories.
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories.some((directory) => directory !== '' && existsSync(join(directory, command)));
}
