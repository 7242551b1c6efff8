import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const tools = [
  { path: '/usr/bin/qemu-system-x86_64', package: 'qemu-system-x86' },
  { path: '/bin/busybox', package: 'busybox-static' },
  { path: '/usr/bin/cpio', package: 'cpio' },
];
export const qemu = '/usr/bin/qemu-system-x86_64';
export const busybox = '/bin/busybox';

/** Installs what is missing; needs root and a Debian that knows the packages. */
export async function installTools(): Promise<void> {
  const missing = tools.filter((tool) => !existsSync(tool.path)).map((tool) => tool.package);
  if (missing.length === 0) return;
  console.log(`installing ${missing.join(', ')}`);
  await apt('update', '-q');
  await apt('install', '-y', '-q', '--no-install-recommends', ...missing);
}

/** Debian's kernel, unpacked and not installed. Resolves with the directory that holds `boot` and `lib/modules`. */
export async function unpackKernel(cacheDir: string): Promise<string> {
  const name = await kernelPackage();
  const directory = join(cacheDir, name);
  if (existsSync(directory)) return directory;
  console.log(`unpacking ${name}`);
  await mkdir(cacheDir, { recursive: true });
  const temporary = await mkdtemp(join(cacheDir, 'unpacking-'));
  try {
    await apt('update', '-q');
    // apt downloads as its own user, who may not write into a directory of root's without a complaint.
    await run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', name], { cwd: temporary });
    const archive = (await readdir(temporary)).find((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new Error(`cannot unpack ${name}: apt-get download left no archive`);
    await run('dpkg', ['-x', join(temporary, archive), join(temporary, 'root')]);
    await rename(join(temporary, 'root'), directory);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return directory;
}

/** `linux-image-amd64` is only a name for the newest one. */
async function kernelPackage(): Promise<string> {
  const { stdout } = await run('apt-cache', ['depends', 'linux-image-amd64']);
  const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (name === undefined) throw new Error('cannot find a kernel: apt knows no linux-image-amd64');
  return name;
}

async function apt(...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { env, maxBuffer: 64 * 1024 * 1024 });
}
