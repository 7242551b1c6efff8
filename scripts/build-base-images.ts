/** Builds the base images into the store: `node --import tsx scripts/build-base-images.ts STORE_DIR RECIPE_HASH`. */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sandboxIdBase, serviceId } from '../runtime/image/ids.ts';
import { openOciLayout } from '../runtime/image/oci-layout.ts';
import { buildDebianRoot } from './base-images/debian-layer.ts';
import { buildNodeRoot } from './base-images/node-layer.ts';
import { createRun } from './base-images/run.ts';

const [storeDir, recipe] = process.argv.slice(2);
if (storeDir === undefined || recipe === undefined)
  throw new Error('usage: build-base-images.ts STORE_DIR RECIPE_HASH');

// Modes in a layer come from here and the packages, not from the shell that ran set-up.
process.umask(0o022);
const layersDir = join(storeDir, 'layers');
// One place for everything unfinished: swept here first, in case an earlier build was killed.
const scratch = join(storeDir, 'building');
const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => abort.abort(new Error(`stopped by ${signal}`)));
}
const run = createRun(scratch, abort.signal);
const layout = openOciLayout(join(storeDir, 'oci'));

try {
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  await mkdir(layersDir, { recursive: true });
  // The worker adds code layers here, as the ordinary user.
  await chown(layersDir, serviceId, serviceId);
  await chmod(layersDir, 0o755);
  await layout.init();

  const debian = await buildLayer('debian', (root) => buildDebianRoot(root, run));
  const node = await buildLayer('node', (root) => buildNodeRoot(root, scratch, run));
  const layersOf = { bash: [debian], python: [debian], node: [debian, node] };
  for (const [reference, layers] of Object.entries(layersOf)) {
    const digest = await layout.addImage({
      reference,
      layers,
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8'],
      workingDir: '/work',
    });
    console.log(`  image ${reference} ${digest}`);
  }
  // Written last: set-up takes it as the sign that all of the above is there.
  const diffIds = [debian, node].map((layer) => layer.digest.slice('sha256:'.length));
  await writeFile(join(storeDir, 'base-images.json.tmp'), JSON.stringify({ recipe, layers: diffIds }));
  await rename(join(storeDir, 'base-images.json.tmp'), join(storeDir, 'base-images.json'));
} catch (error) {
  console.error(`cannot build the base images: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}

/** Builds a root, makes it a tar blob, and unpacks the blob: what sandboxes see is what the digest says. */
async function buildLayer(name: string, build: (root: string) => Promise<void>) {
  const started = performance.now();
  const root = join(scratch, name);
  await mkdir(root);
  await build(root);
  const tar = join(scratch, `${name}.tar`);
  const reproducible = [
    '--sort=name',
    '--mtime=@0',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--format=posix',
  ];
  // GNU tar's default extended headers carry its process id and file times.
  const noTimes = '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime';
  await run('chmod', ['-R', 'u-s,g-s', root]);
  await run('tar', ['-cf', tar, ...reproducible, noTimes, '-C', root, '.']);
  await rm(root, { recursive: true });
  const layer = await layout.addLayerFile(tar);
  await unpackLayer(layer.digest.slice('sha256:'.length));
  const megabytes = Math.round(layer.size / 1e6);
  console.log(`  layer ${name}: ${megabytes} MB, ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return layer;
}

/** Files belong to the first sandbox id, which is root inside: nobody's on the host. */
async function unpackLayer(hex: string): Promise<void> {
  // The same name is the same content, and running sandboxes may be stacked on it.
  if (existsSync(join(layersDir, hex))) return;
  const unpacked = join(scratch, hex);
  await mkdir(unpacked);
  await run('tar', [
    '-xpf',
    join(storeDir as string, 'oci/blobs/sha256', hex),
    '-C',
    unpacked,
    '--no-same-owner',
  ]);
  await run('chown', ['-hR', `${sandboxIdBase}:${sandboxIdBase}`, unpacked]);
  await rename(unpacked, join(layersDir, hex));
}
