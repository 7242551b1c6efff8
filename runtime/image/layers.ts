import { lstat, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { KeyedMutex } from './keyed-mutex.ts';
import { chainDigest, type LayerUnpacker, type UnpackRequest } from './layer-unpacker.ts';
import { replaceFile } from './oci-layout.ts';
import { StoreError } from './store-error.ts';

const infoSchema = z.object({ diskBytes: z.number(), entries: z.number() });
type LayerInfo = z.infer<typeof infoSchema>;

/** The unpacked layers of a store: `layers/<name>/`, and what they weigh in `layer-info/<name>.json`. */
export interface Layers {
  readonly dir: string;
  has(name: string): Promise<boolean>;
  /** Names of all there are. */
  names(): Promise<Set<string>>;
  info(name: string): Promise<LayerInfo>;
  /**
   * Unpacks one layer of an image unless it is there, and resolves with its directory's name. `openTar` is called at
   * most once however many wait for that layer.
   */
  ensure(request: UnpackRequest, openTar: () => Readable): Promise<string>;
  /** Likewise a layer that stands on nothing. */
  ensurePlain(hex: string, fetchTar: () => Promise<Uint8Array>): Promise<void>;
  /** Resolves with the bytes that this freed. */
  remove(name: string): Promise<number>;
}

export function openLayers(dir: string, infoDir: string, unpacker: LayerUnpacker): Layers {
  const mutex = new KeyedMutex();
  const infos = new Map<string, LayerInfo>();
  const fetching = new Map<string, Promise<void>>();
  /** Plain layers that were seen: every call of a function asks for its own, and only `remove` takes one away. */
  const present = new Set<string>();
  const infoPath = (name: string) => join(infoDir, `${name}.json`);
  const has = (name: string) => isDirectory(join(dir, name));

  async function unpack(request: UnpackRequest, tar: Readable): Promise<string> {
    const unpacked = await unpacker.unpack(request, tar).catch((error: unknown) => {
      throw asUnpackFailure(error);
    });
    await writeInfo(unpacked.name, { diskBytes: unpacked.diskBytes, entries: unpacked.entries });
    return unpacked.name;
  }

  async function writeInfo(name: string, info: LayerInfo): Promise<void> {
    infos.set(name, info);
    await mkdir(infoDir, { recursive: true });
    await replaceFile(infoPath(name), JSON.stringify(info));
  }

  async function readInfo(name: string): Promise<LayerInfo | undefined> {
    const text = await readFile(infoPath(name), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : infoSchema.parse(JSON.parse(text));
  }

  return {
    dir,
    has: (name) => has(layerName(name)),

    async names() {
      return new Set((await readdir(dir).catch(() => [])).filter(isLayerName));
    },

    async info(name) {
      const known = infos.get(name);
      if (known) return known;
      const info = (await readInfo(name)) ?? (await weigh(join(dir, name)));
      infos.set(name, info);
      return info;
    },

    async ensure(request, openTar) {
      const unlock = await mutex.lock([request.diffId]);
      try {
        const present = await this.names();
        const there = locateLayers([...request.chain, request.diffId], present).at(-1);
        if (there === undefined) return await unpack(request, openTar());
        // Its writer may have been killed right after it put the layer in its place.
        if (!(await readInfo(there))) await writeInfo(there, await weigh(join(dir, there)));
        return there;
      } finally {
        unlock();
      }
    },

    async ensurePlain(hex, fetchTar) {
      if (present.has(hex)) return;
      if (await has(layerName(hex))) return void present.add(hex);
      let work = fetching.get(hex);
      if (!work) {
        work = addPlain(hex, fetchTar).finally(() => fetching.delete(hex));
        fetching.set(hex, work);
      }
      await work;
    },

    async remove(name) {
      const { diskBytes } = await this.info(name);
      present.delete(name);
      await unpacker.remove(layerName(name));
      // Again: someone may have looked before it went and noted it only now.
      present.delete(name);
      infos.delete(name);
      await rm(infoPath(name), { force: true });
      return diskBytes;
    },
  };

  async function addPlain(hex: string, fetchTar: () => Promise<Uint8Array>): Promise<void> {
    // Another caller may have finished between our look and our place in the map.
    if (await has(hex)) return;
    const tar = await fetchTar();
    const unlock = await mutex.lock([hex]);
    try {
      if (await has(hex)) return;
      const name = await unpack({ diffId: hex, chain: [], lowers: [] }, Readable.from([tar]));
      if (name === hex) return;
      await unpacker.remove(name);
      throw new StoreError('invalid_image', `cannot unpack layer ${hex}: it takes other layers for granted`);
    } finally {
      unlock();
    }
  }
}

/** Directory names of an image's layers, lowest first, undefined where one is not in `present`. */
export function locateLayers(
  diffIds: readonly string[],
  present: ReadonlySet<string>,
): (string | undefined)[] {
  return diffIds.map((diffId, index) =>
    [chainDigest(diffIds.slice(0, index + 1)), diffId].find((name) => present.has(name)),
  );
}

/** The unpacker's faults (UnpackError) in the store's words; what the platform is at fault for stays as it is. */
function asUnpackFailure(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof message !== 'string') return error;
  if (code === 'invalid') return new StoreError('invalid_image', message, { cause: error });
  if (code === 'full') return new StoreError('storage_full', message, { cause: error });
  return error;
}

function isLayerName(name: string): boolean {
  return /^[a-f0-9]{64}$/.test(name);
}

function layerName(name: string): string {
  if (!isLayerName(name)) throw new Error(`cannot name a layer "${name}": not a SHA-256 in hex`);
  return name;
}

/** What we may read of it: files belong to other ids, and a closed directory is not counted. */
async function weigh(root: string): Promise<LayerInfo> {
  let diskBytes = 0;
  let entries = 0;
  const inodes = new Set<number>();
  for (const directories = [root]; ; ) {
    const directory = directories.pop();
    if (directory === undefined) return { diskBytes, entries };
    for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
      const path = join(directory, entry.name);
      const stats = await lstat(path).catch(() => undefined);
      entries += 1;
      if (entry.isDirectory()) directories.push(path);
      if (!stats || inodes.has(stats.ino)) continue;
      inodes.add(stats.ino);
      diskBytes += stats.blocks * 512;
    }
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
