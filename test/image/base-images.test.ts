import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { sandboxIdBase } from '../../runtime/image/ids.ts';
import { openStore } from '../../runtime/image/store.ts';
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
