import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ImageConfig } from '../../sdk/contract/image.ts';
import { fetchFromDebian } from './fetch-pinned.ts';
import { writeOciArchive } from './oci-archive.ts';
import { pathWithTestTools, testToolsDir } from './tools.ts';

const busyboxSource = {
  path: 'pool/main/b/busybox/busybox_1.35.0.orig.tar.bz2',
  sha256: 'faeeb244c35a348a334f4a59e44626ee870fb07b6884d68c10ae8bc19f83a694',
};
const configFile = join(import.meta.dirname, 'busybox.config');
const loader = `ld-musl-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so.1`;

/** What the image's configuration says; the tests compare with it. */
export const muslImageConfig: ImageConfig = {
  Entrypoint: ['/bin/sh', '-c'],
  Cmd: ['echo from the image: $GREETING; pwd; id -u'],
  Env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'GREETING=hello from musl'],
  WorkingDir: '/srv/app',
  User: 'app',
};
/** In the image's /etc/passwd and /etc/group. */
export const muslImageUser = { name: 'app', uid: 1234, gid: 2345, supplementaryGid: 3456 };

/**
 * Path of an OCI archive, `localhost/musl-busybox:latest`: BusyBox linked dynamically against musl, no file of glibc.
 * `root` leaves out the User. Built at the first use, in some seconds, and kept beside the test tools.
 */
export async function muslImageArchive(variant: 'user' | 'root' = 'user'): Promise<string> {
  const recipe = [busyboxSource, muslImageConfig, muslImageUser, await readFile(configFile, 'utf8')];
  const key = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
  const archiveOf = (name: string) => join(testToolsDir, `musl-busybox-${key}-${name}.tar`);
  if (existsSync(archiveOf(variant))) return archiveOf(variant);

  const scratch = await mkdtemp(join(tmpdir(), 'oncebox-musl-'));
  try {
    const root = join(scratch, 'root');
    await makeRoot(root, await buildBusybox(scratch));
    const reference = 'localhost/musl-busybox:latest';
    const { User, ...common } = muslImageConfig;
    await writeOciArchive(archiveOf('root'), { root, reference, config: common });
    await writeOciArchive(archiveOf('user'), { root, reference, config: { ...common, User } });
    return archiveOf(variant);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function buildBusybox(scratch: string): Promise<{ binary: string; applets: string[] }> {
  const archive = join(scratch, 'busybox.tar.bz2');
  await fetchFromDebian(busyboxSource.path, busyboxSource.sha256, archive);
  const source = join(scratch, 'busybox');
  await mkdir(source);
  await run('tar', ['-xjf', archive, '-C', source, '--strip-components=1']);
  // Nothing, then what we want: BusyBox's kconfig knows no file of wishes.
  await run('make', ['-s', '-C', source, 'allnoconfig']);
  const config = join(source, '.config');
  const wishes = (await readFile(configFile, 'utf8')).trim().split('\n');
  const names = new Set(wishes.map((wish) => wish.slice(0, -'=y'.length)));
  const none = (await readFile(config, 'utf8')).split('\n');
  const unsetOf = (line: string) => /^# (\w+) is not set$/.exec(line)?.[1] ?? '';
  await writeFile(config, [...none.filter((line) => !names.has(unsetOf(line))), ...wishes, ''].join('\n'));
  await run('sh', ['-c', `yes '' | make -s -C "${source}" oldconfig`]);
  await run('make', ['-s', `-j${cpus().length}`, '-C', source, 'CC=musl-gcc', 'SKIP_STRIP=y', 'busybox']);
  const { stdout } = await run('make', ['-s', '-C', source, 'busybox.links']).then(() =>
    run('cat', [join(source, 'busybox.links')]),
  );
  return { binary: join(source, 'busybox'), applets: stdout.trim().split('\n') };
}

async function makeRoot(root: string, { binary, applets }: { binary: string; applets: string[] }) {
  for (const path of [
    'bin',
    'lib',
    'etc',
    'proc',
    'sys',
    'dev',
    'tmp',
    'usr/bin',
    'usr/local/bin',
    'srv/app',
  ])
    await mkdir(join(root, path), { recursive: true });
  await chmod(join(root, 'tmp'), 0o1777);
  await copyFile(binary, join(root, 'bin/busybox'));
  for (const applet of applets) {
    const link = join(root, applet);
    if (!existsSync(link)) await symlink('/bin/busybox', link);
  }
  // musl's C library is its dynamic loader too.
  await copyFile(await muslLibrary(), join(root, 'lib', loader));
  await chmod(join(root, 'lib', loader), 0o755);
  const { name, uid, gid, supplementaryGid } = muslImageUser;
  await writeFile(
    join(root, 'etc/passwd'),
    `root:x:0:0:root:/root:/bin/sh\n${name}:x:${uid}:${gid}:app:/srv/app:/bin/sh\n`,
  );
  await writeFile(
    join(root, 'etc/group'),
    `root:x:0:\n${name}:x:${gid}:\nextra:x:${supplementaryGid}:${name}\n`,
  );
}

/** Where musl-gcc links: the machine's own, or that of the test tools. */
async function muslLibrary(): Promise<string> {
  const { stderr } = await run('musl-gcc', ['-###', '-x', 'c', '/dev/null', '-o', '/dev/null']);
  const directory = /"?-L([^"\s]*-linux-musl)"?/.exec(stderr)?.[1];
  if (directory === undefined) throw new Error(`cannot tell where musl is: musl-gcc says ${stderr}`);
  return join(directory, 'libc.so');
}

function run(command: string, args: string[]) {
  const env = { ...process.env, PATH: pathWithTestTools() };
  return promisify(execFile)(command, args, { env, maxBuffer: 64 * 1024 * 1024 });
}
