import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sandboxIdBase } from '../../runtime/image/ids.ts';
import { packLayer } from '../../runtime/image/packages/layer-tar.ts';
import { createRun } from '../../runtime/image/packages/run.ts';
import { openStore } from '../../runtime/image/store.ts';
import { composeImage } from '../../scripts/base-images/compose.ts';
import { buildDebianRoot } from '../../scripts/base-images/debian-layer.ts';
import { buildNodeRoot, nodeVersion } from '../../scripts/base-images/node-layer.ts';
import { readLock } from '../../scripts/base-images/package-lock.ts';
import { loadConfig } from '../../services/shared/config.ts';

const run = promisify(execFile);
const { storeDir } = loadConfig();
const store = openStore(storeDir);
const blob = (digest: string) => readFile(join(storeDir, 'oci/blobs/sha256', digest.replace('sha256:', '')));
const sha256 = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe.each(['node', 'python', 'bash'])('the base image %s', (name) => {
  test('is an OCI image: every blob is what its digest says, and the layers are its diffIDs', async () => {
    const image = await store.resolve(name);
    const manifestBytes = await blob(image.digest);
    expect(sha256(manifestBytes)).toBe(image.digest);
    const manifest = JSON.parse(manifestBytes.toString());
    const configBytes = await blob(manifest.config.digest);
    expect(sha256(configBytes)).toBe(manifest.config.digest);
    const diffIds = JSON.parse(configBytes.toString()).rootfs.diff_ids;
    for (const [index, layer] of manifest.layers.entries()) {
      const bytes = await blob(layer.digest);
      expect(sha256(bytes)).toBe(layer.digest);
      expect(bytes.length).toBe(layer.size);
      expect(diffIds[index]).toBe(layer.digest);
    }
    expect(image.layers).toEqual(diffIds.toReversed().map((diffId: string) => diffId.replace('sha256:', '')));
  });

  test('has only files, directories and links of the first sandbox id, none setuid', async () => {
    for (const hex of (await store.resolve(name)).layers) {
      const layer = join(store.layersDir, hex);
      const owned = ['-uid', String(sandboxIdBase), '-gid', String(sandboxIdBase)];
      const kinds = ['(', '-type', 'f', '-o', '-type', 'd', '-o', '-type', 'l', ')'];
      const wrong = await run('find', [layer, '!', '(', ...owned, ...kinds, '!', '-perm', '/6000', ')']);
      expect(wrong.stdout).toBe('');
      const all = await run('find', [layer, '-maxdepth', '1', ...owned, '-name', 'usr']);
      expect(all.stdout.trim()).toBe(join(layer, 'usr'));
    }
  });
});

test('built once more, layers and images have the same digests', { timeout: 600_000 }, async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'oncebox-base-'));
  onTestFinished(() => rm(scratch, { recursive: true, force: true }));
  const umask = process.umask(0o022);
  onTestFinished(() => void process.umask(umask));
  const build = createRun(scratch, new AbortController().signal);
  const debianOnce = async (name: string) => {
    const root = join(scratch, name);
    await mkdir(root);
    const built = await buildDebianRoot(root, build, await readLock());
    return { ...built, file: await packLayer(root, `${root}.tar`, build) };
  };
  const { file: debian, packages, isLocked } = await debianOnce('debian');
  if (!isLocked) {
    // The mirror has moved on since set-up: the same of its day is the same all the same.
    expect((await debianOnce('again')).file.digest).toBe(debian.digest);
    return;
  }
  const nodeRoot = join(scratch, 'node');
  await mkdir(nodeRoot);
  await buildNodeRoot(nodeRoot, scratch, build);
  const node = await packLayer(nodeRoot, `${nodeRoot}.tar`, build);
  const { configJson, manifestJson } = await store.resolve('node');
  const rebuilt = composeImage({
    layers: [
      { file: debian, createdBy: `oncebox set-up: ${packages.length} packages of Debian bookworm` },
      { file: node, createdBy: `oncebox set-up: node ${nodeVersion}` },
    ],
    command: ['node'],
    labels: { 'dev.oncebox.debian-packages': packages.join(' ') },
  });
  expect(JSON.parse(rebuilt.configJson)).toEqual(JSON.parse(configJson));
  expect(rebuilt.manifestJson).toBe(manifestJson);
});

test('the Debian layer runs Python with its C modules, and the tools a shell script expects', async () => {
  const [debian = ''] = (await store.resolve('bash')).layers;
  const root = join(store.layersDir, debian);
  const python = await run('chroot', [
    root,
    'python3',
    '-c',
    'import ssl, sqlite3, json; print(sqlite3.sqlite_version)',
  ]);
  expect(python.stdout).toMatch(/^3\.\d+/);
  const script =
    'set -e; echo b a | tr " " "\\n" | sort | awk "{print NR\\$1}" | sed s/a/x/ | xargs; id -un; ls -ld /tmp';
  const shell = await run('chroot', [root, 'bash', '-c', script]);
  expect(shell.stdout).toMatch(/^1x 2b\nroot\ndrwxrwxrwt /);
});

test("node's binary finds every library it needs in the Debian layer", async () => {
  const [node = '', debian = ''] = (await store.resolve('node')).layers;
  const binary = await readFile(join(store.layersDir, node, 'usr/local/bin/node'));
  const loader = ['ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1'].find((name) => binary.includes(name));
  // The loader of the layer itself lists them, without running the binary, from the layer's own directories.
  const root = join(store.layersDir, debian);
  const directories = [join(root, 'usr/lib/x86_64-linux-gnu'), join(root, 'usr/lib/aarch64-linux-gnu')].join(
    ':',
  );
  const path = join(root, loader?.includes('x86') ? 'usr/lib64' : 'usr/lib', loader ?? '');
  const args = [
    '--inhibit-cache',
    '--library-path',
    directories,
    '--list',
    join(store.layersDir, node, 'usr/local/bin/node'),
  ];
  const { stdout } = await run(path, args);
  expect(stdout).toContain('libstdc++');
  expect(stdout).not.toContain('not found');
  for (const [, file] of stdout.matchAll(/=> (\/\S+)/g)) expect(file).toContain(root);
});
