import { lstat, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readAptSources } from '../../runtime/image/packages/apt-sources.ts';
import type { Run } from '../../runtime/image/packages/run.ts';

const suite = 'bookworm';

/** What a sandbox finds: a POSIX user land, Python with its standard library, and the libraries of node's binary. */
const packages = [
  ...['base-files', 'libc-bin', 'bash', 'dash', 'coreutils', 'findutils', 'diffutils', 'grep', 'sed', 'mawk'],
  ...['gzip', 'tar', 'hostname', 'procps', 'tzdata', 'netbase'],
  ...['python3', 'libstdc++6', 'libgcc-s1'],
];

/** Not needed to run anything, or different in every build. Licences (`copyright` files) stay. */
const unwanted = [
  ...[
    'dev',
    'proc',
    'sys',
    'boot',
    'work',
    'function',
    'etc/apt',
    'etc/cron.daily',
    'etc/hostname',
    'etc/resolv.conf',
  ],
  ...['usr/share/man', 'usr/share/info', 'usr/share/locale', 'usr/share/lintian', 'usr/share/bug'],
  ...['var/cache', 'var/log', 'var/lib/apt', 'var/lib/dpkg', 'usr/lib/systemd', 'usr/lib/apt'],
];

/** Directories of every sandbox, with their modes. */
const directories: readonly [string, number][] = [
  ...['dev', 'proc', 'sys', 'run', 'work', 'function', 'var/cache', 'var/log'].map((p): [string, number] => [
    p,
    0o755,
  ]),
  ['tmp', 0o1777],
  ['var/tmp', 0o1777],
];

export interface DebianRoot {
  /** `name=version`, sorted. */
  packages: string[];
  /** Whether these are the locked versions. */
  isLocked: boolean;
}

/**
 * Makes a Debian root in `root`. The variant `extract` unpacks packages and runs none of their scripts, which is
 * ten times faster than installing and needs no mounts; what the scripts would have set up is done here by hand.
 * `locked` are the exact versions to take. A mirror keeps a version only until there is a newer one: then all are
 * taken as it has them, and the root is another.
 */
export async function buildDebianRoot(
  root: string,
  run: Run,
  locked: readonly string[] | undefined,
): Promise<DebianRoot> {
  const isLocked = locked !== undefined && (await tryToDebootstrap(root, run, locked));
  if (!isLocked) await debootstrap(root, run, packages);
  const unpacked = await packagesOf(root);
  for (const path of unwanted) await rm(join(root, path), { recursive: true, force: true });
  for (const [path, mode] of directories) {
    await mkdir(join(root, path), { recursive: true });
    await run('chmod', [mode.toString(8), join(root, path)]);
  }
  await writeFile(join(root, 'etc/passwd'), passwd);
  await writeFile(join(root, 'etc/group'), group);
  await writeFile(join(root, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
  await writeFile(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
  await ensureLink(root, 'usr/bin/sh', 'dash');
  await ensureLink(root, 'usr/bin/awk', 'mawk');
  await ensureLink(root, 'usr/bin/python', 'python3');
  await ensureLink(root, 'etc/localtime', '/usr/share/zoneinfo/Etc/UTC');
  // Without its bytecode every import would compile its module again, in every sandbox. The hash-based form does
  // not look at file times, which the layer's tar sets to zero.
  const compile = ['-m', 'compileall', '-q', '--invalidation-mode', 'unchecked-hash', '/usr/lib/python3.11'];
  // The order of sets is in the bytecode, and it is another with each seed.
  await run('chroot', [root, '/usr/bin/env', 'PYTHONHASHSEED=0', '/usr/bin/python3', ...compile]);
  await run('chroot', [root, '/sbin/ldconfig']);
  await rm(join(root, 'var/cache/ldconfig'), { recursive: true, force: true });
  await checkRoot(root, run);
  return { packages: unpacked, isLocked };
}

/** False, with an empty root, when the mirror has no longer one of the versions. */
async function tryToDebootstrap(root: string, run: Run, locked: readonly string[]): Promise<boolean> {
  try {
    await debootstrap(root, run, locked);
    return true;
  } catch (error) {
    const { message } = error as Error;
    if (!/^E: Version .* was not found$|^E: Unable to locate package/m.test(message.replaceAll(/^ +/gm, '')))
      throw error;
    await rm(root, { recursive: true });
    await mkdir(root);
    return false;
  }
}

async function debootstrap(root: string, run: Run, wanted: readonly string[]): Promise<void> {
  const sources = await readAptSources(suite);
  await run('mmdebstrap', [
    '--mode=root',
    '--variant=extract',
    // What was unpacked is read off the archives that it leaves.
    '--skip=cleanup/apt',
    '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
    `--include=${wanted.join(',')}`,
    ...(await acquireOptions(run)),
    suite,
    root,
    ...sources,
  ]);
}

/** apt names archives `name_version_architecture.deb`, with the colon of an epoch as %3a. */
async function packagesOf(root: string): Promise<string[]> {
  const names = await readdir(join(root, 'var/cache/apt/archives'));
  return names
    .filter((name) => name.endsWith('.deb'))
    .map((name) => {
      const [title = '', version = ''] = name.split('_');
      return `${title}=${decodeURIComponent(version)}`;
    })
    .sort();
}

/** The layer is used by every sandbox: a root that cannot run these must never become one. */
async function checkRoot(root: string, run: Run): Promise<void> {
  const modules =
    'import ssl, sqlite3, json, asyncio, ctypes, decimal, zoneinfo; zoneinfo.ZoneInfo("Europe/Paris")';
  await run('chroot', [root, '/usr/bin/python3', '-c', modules]);
  const tools =
    'set -eu; id -u; echo a b | awk "{print \\$2}" | grep -q b; sed s/x/y/ </etc/passwd | sort | wc -l';
  await run('chroot', [root, '/bin/sh', '-c', tools]);
  await run('chroot', [root, '/bin/bash', '-c', `[[ $(LC_ALL=C.UTF-8; s=é; echo \${#s}) == 1 ]]`]);
}

/** mmdebstrap's apt reads none of the machine's settings, so those that reach mirrors and old snapshots are passed on. */
async function acquireOptions(run: Run): Promise<string[]> {
  const settings = (await run('apt-config', ['dump'])).split('\n');
  return settings
    .filter((line) => /^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date)\b.* "[^"]+";$/.test(line))
    .map((line) => `--aptopt=${line}`);
}

async function ensureLink(root: string, path: string, target: string): Promise<void> {
  const link = join(root, path);
  const exists = await lstat(link).then(
    () => true,
    () => false,
  );
  if (exists) return;
  await mkdir(dirname(link), { recursive: true });
  await symlink(target, link);
}

const passwd = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;

const group = `root:x:0:
daemon:x:1:
tty:x:5:
nogroup:x:65534:
`;
