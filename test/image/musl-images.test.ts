import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { muslImageArchive } from '../support/musl-image.ts';
import { muslNodeArchive, whyNoMuslNode } from '../support/musl-node-image.ts';

const run = promisify(execFile);
const noNode = await whyNoMuslNode();
const patience = 600_000; // what they are made of is fetched and built at the first run

/** Unpacks an archive with umoci, and says what is in its /lib. */
async function unpack(archive: string, name: string) {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-musl-test-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const layout = join(directory, 'layout');
  await mkdir(layout);
  await run('tar', ['-xf', archive, '-C', layout]);
  const bundle = join(directory, 'bundle');
  await run('umoci', ['unpack', '--image', `${layout}:localhost/${name}:latest`, bundle]);
  const root = join(bundle, 'rootfs');
  return { root, libraries: await readdir(join(root, 'lib')) };
}

test(
  'the BusyBox image runs on musl alone',
  async () => {
    const { root, libraries } = await unpack(await muslImageArchive(), 'musl-busybox');
    expect(libraries).toEqual([expect.stringMatching(/^ld-musl-.*\.so\.1$/)]);
    const script = 'id -u; whoami; echo x | sha256sum | wc -c';
    const { stdout } = await run('chroot', [root, '/bin/sh', '-c', `PATH=/bin:/usr/bin; ${script}`]);
    expect(stdout).toBe('0\nroot\n68\n');
  },
  patience,
);

const mayRun = noNode === undefined || process.env.ONCEBOX_MUST_WORK === '1';
test.runIf(mayRun)(
  `the node image runs on musl alone${noNode ? ` (${noNode})` : ''}`,
  async () => {
    const { root, libraries } = await unpack(await muslNodeArchive(), 'musl-node');
    expect(libraries.filter((name) => name.includes('linux-gnu'))).toEqual([]);
    const { stdout } = await run('chroot', [root, '/usr/local/bin/node', '-p', '6 * 7']);
    expect(stdout).toBe('42\n');
  },
  patience,
);
