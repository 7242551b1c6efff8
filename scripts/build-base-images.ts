/** Builds the base images into the store: `node --import tsx scripts/build-base-images.ts STORE_DIR RECIPE_HASH`. */
import { chmod, chown, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceId } from '../runtime/image/ids.ts';
import { openLayerUnpacker } from '../runtime/image/layer-unpacker.ts';
import { packLayer } from '../runtime/image/packages/layer-tar.ts';
import { createRun } from '../runtime/image/packages/run.ts';
import { openStore } from '../runtime/image/store.ts';
import { composeImage } from './base-images/compose.ts';
import { buildDebianRoot } from './base-images/debian-layer.ts';
import { startLauncher } from './base-images/launcher.ts';
import { buildNodeRoot, nodeVersion } from './base-images/node-layer.ts';
import { readLock } from './base-images/package-lock.ts';

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

try {
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  await mkdir(layersDir, { recursive: true });

  const { debian, packages } = await buildDebian();
  const node = await timed('node', async (root) => {
    await buildNodeRoot(root, scratch, run);
    return packLayer(root, `${root}.tar`, run);
  });
  const layerOf = {
    debian: { file: debian, createdBy: `oncebox set-up: ${packages.length} packages of Debian bookworm` },
    node: { file: node, createdBy: `oncebox set-up: node ${nodeVersion}` },
  };
  const labels = { 'dev.oncebox.debian-packages': packages.join(' ') };
  const images = {
    bash: composeImage({ layers: [layerOf.debian], command: ['bash'], labels }),
    python: composeImage({ layers: [layerOf.debian], command: ['python3'], labels }),
    node: composeImage({ layers: [layerOf.debian, layerOf.node], command: ['node'], labels }),
  };

  const digests: Record<string, string> = {};
  const launcher = await startLauncher(scratch, layersDir);
  try {
    const unpacker = openLayerUnpacker({ launcherSocket: launcher.socket, layersDir });
    const store = openStore(storeDir, { unpacker });
    const blobs = new Map([debian, node].map(({ digest, path }) => [digest, path]));
    for (const [name, texts] of Object.entries(images)) {
      const reference = `localhost/${name}:latest`;
      const { digest } = await store.addImage({ ...texts, blobs, reference });
      digests[name] = digest;
      console.log(`  image ${reference} ${digest}`);
    }
  } finally {
    await launcher.stop();
  }
  await giveToWorker(storeDir);
  // Written last: set-up takes it as the sign that all of the above is there.
  const diffIds = [debian, node].map(({ digest }) => digest.slice('sha256:'.length));
  await writeFile(
    join(storeDir, 'base-images.json.tmp'),
    JSON.stringify({ recipe, layers: diffIds, images: digests }),
  );
  await rename(join(storeDir, 'base-images.json.tmp'), join(storeDir, 'base-images.json'));
} catch (error) {
  console.error(`cannot build the base images: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}

async function buildDebian() {
  let packages: string[] = [];
  const debian = await timed('debian', async (root) => {
    const lock = await readLock();
    const built = await buildDebianRoot(root, run, lock);
    packages = built.packages;
    if (!built.isLocked) {
      const why = lock ? 'the mirror no longer has a locked version' : `no lock for ${process.arch}`;
      console.log(`  ${why}: Debian packages as the mirror has them today, so digests differ`);
    }
    return packLayer(root, `${root}.tar`, run);
  });
  return { debian, packages };
}

async function timed<Layer extends { size: number }>(name: string, build: (root: string) => Promise<Layer>) {
  const started = performance.now();
  const root = join(scratch, name);
  await mkdir(root);
  const layer = await build(root);
  await rm(root, { recursive: true });
  const megabytes = Math.round(layer.size / 1e6);
  console.log(`  layer ${name}: ${megabytes} MB, ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return layer;
}

/** The worker, an ordinary user, adds to all of these and takes away. */
async function giveToWorker(dir: string): Promise<void> {
  for (const name of ['layers', 'layer-info', 'scratch', 'oci', 'oci/blobs', 'oci/blobs/sha256']) {
    await mkdir(join(dir, name), { recursive: true });
    await chown(join(dir, name), serviceId, serviceId);
    await chmod(join(dir, name), 0o755);
  }
}
