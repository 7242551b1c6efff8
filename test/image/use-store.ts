import { mkdtempSync } from 'node:fs';
import { chown, mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openLayerUnpacker } from '../../runtime/image/layer-unpacker.ts';
import { openStore, type Store, type StoreUsage } from '../../runtime/image/store.ts';
import { startLauncher } from '../support/launcher.ts';

export interface TestStore {
  dir: string;
  launcherSocket: string;
  store: Store;
  /** What is in it: blobs, layers, names, and what is under way. */
  content(): Promise<StoreContent>;
}

interface StoreContent {
  blobs: string[];
  layers: string[];
  scratch: string[];
}

/** A store of the test's own, with a launcher that unpacks for it. */
export async function useStore(usage?: StoreUsage, dir?: string, workerUid = 0): Promise<TestStore> {
  const storeDir = dir ?? mkdtempSync(join(tmpdir(), 'oncebox-store-'));
  const layersDir = join(storeDir, 'layers');
  await mkdir(layersDir, { recursive: true });
  if (workerUid !== 0) await chown(storeDir, workerUid, 0); // its socket is there
  const launcher = await startLauncher(storeDir, layersDir, workerUid);
  onTestFinished(async () => {
    await launcher.stop();
    if (dir === undefined) await rm(storeDir, { recursive: true, force: true });
  });
  const unpacker = openLayerUnpacker({ launcherSocket: launcher.socket, layersDir });
  const list = async (path: string) => (await readdir(join(storeDir, path)).catch(() => [])).sort();
  return {
    dir: storeDir,
    launcherSocket: launcher.socket,
    store: openStore(storeDir, { unpacker, ...(usage && { usage }) }),
    content: async () => ({
      blobs: await list('oci/blobs/sha256'),
      layers: await list('layers'),
      scratch: await list('scratch'),
    }),
  };
}
