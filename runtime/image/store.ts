import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from './image.ts';
import { type LayerEntry, readLayerTar } from './layer-tar.ts';
import { openOciLayout } from './oci-layout.ts';

/**
 * Images and layers of a node, in one directory: `oci/`, an OCI image layout, and `layers/<hex>/`, every layer
 * unpacked once under its diffID. A directory with such a name is complete and is never written again.
 */
export interface Store {
  /** Where the layers lie: what the launcher is given. */
  readonly layersDir: string;
  /** The image a name points at. Rejects, saying so, when there is none. */
  resolve(reference: string): Promise<Image>;
  hasLayer(hex: string): Promise<boolean>;
  /**
   * Unpacks the layer unless it is there. `fetchTar` is called at most once however many wait for the layer.
   * Rejects, leaving nothing, when the tar's SHA-256 is not `hex` or it holds more than files and directories.
   */
  ensureLayer(hex: string, fetchTar: () => Promise<Uint8Array>): Promise<void>;
  /** Removes what killed processes left half-unpacked. Resolves with the number of directories removed. */
  sweep(): Promise<number>;
}

export function openStore(storeDir: string): Store {
  const layersDir = join(storeDir, 'layers');
  const layout = openOciLayout(join(storeDir, 'oci'));
  const unpacking = new Map<string, Promise<void>>();

  return {
    layersDir,

    async resolve(reference) {
      const image = await layout.read(reference);
      for (const hex of image.layers) {
        if (!(await isDirectory(layerPath(hex)))) {
          throw new Error(
            `cannot use image "${reference}": layer ${hex} is not unpacked; run "npm run setup"`,
          );
        }
      }
      return image;
    },

    hasLayer: (hex) => isDirectory(layerPath(hex)),

    async ensureLayer(hex, fetchTar) {
      const path = layerPath(hex);
      if (await isDirectory(path)) return;
      let work = unpacking.get(hex);
      if (!work) {
        work = addLayer(path, hex, fetchTar).finally(() => unpacking.delete(hex));
        unpacking.set(hex, work);
      }
      await work;
    },

    async sweep() {
      const names = await readdir(layersDir);
      const stale = names.filter(isAbandoned);
      for (const name of stale) await rm(join(layersDir, name), { recursive: true, force: true });
      return stale.length;
    },
  };

  function layerPath(hex: string): string {
    if (!/^[a-f0-9]{64}$/.test(hex)) throw new Error(`cannot name a layer "${hex}": not a SHA-256 in hex`);
    return join(layersDir, hex);
  }

  async function addLayer(path: string, hex: string, fetchTar: () => Promise<Uint8Array>): Promise<void> {
    // Another caller may have finished between our look and our place in the map.
    if (await isDirectory(path)) return;
    const tar = await fetchTar();
    const actual = createHash('sha256').update(tar).digest('hex');
    if (actual !== hex)
      throw new Error(`cannot unpack layer ${hex}: what was fetched has the digest ${actual}`);
    const entries = readLayerTar(tar);
    const temporary = join(layersDir, `.unpacking-${process.pid}-${randomUUID()}`);
    try {
      await mkdir(temporary);
      await chmod(temporary, 0o755);
      for (const entry of entries) await writeEntry(temporary, entry);
      await rename(temporary, path).catch(async (error: NodeJS.ErrnoException) => {
        // Another process was faster with the same content.
        if (!(await isDirectory(path))) throw error;
      });
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }
}

/**
 * Only directories and new files, all made here, parents first: nothing can lead out of `root`. Modes are set
 * afterwards, because the sandbox's ids must be able to read whatever the worker's umask is.
 */
async function writeEntry(root: string, entry: LayerEntry): Promise<void> {
  const path = join(root, entry.path);
  if (entry.type === 'directory') await mkdir(path);
  else await writeFile(path, entry.data, { flag: 'wx' });
  await chmod(path, entry.type === 'directory' || entry.executable ? 0o755 : 0o644);
}

function isAbandoned(name: string): boolean {
  const pid = /^\.unpacking-(\d+)-/.exec(name)?.[1];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    // EPERM: it lives, as another user.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
