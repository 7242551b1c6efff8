import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type {
  DiskUsage,
  HistoryEntry,
  ImageDetail,
  ImageRemoval,
  ImageSummary,
  PruneResult,
  pullRequestSchema,
  pushRequestSchema,
} from '../../sdk/contract/image.ts';
import { addImage, type ImageSource } from './add-image.ts';
import { openCatalogue } from './catalogue.ts';
import type { StoredImage } from './image.ts';
import { importArchive } from './import-archive.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import type { LayerUnpacker } from './layer-unpacker.ts';
import { openLayers } from './layers.ts';
import { openOciLayout, pointAt } from './oci-layout.ts';
import { pullImage } from './pull.ts';
import { pushImage } from './push.ts';
import { localName } from './reference.ts';
import { createRemoval } from './removal.ts';
import { createReport } from './report.ts';
import { type ImageTask, SharedTasks } from './shared-task.ts';
import {
  asWriter,
  Held,
  refuseReserved,
  type StoreParts,
  type StoreUsage,
  sweepAbandoned,
} from './store-parts.ts';
import { findUser, type ImageUser } from './users.ts';
import { createWriterLock } from './writer-lock.ts';

export type { ImageTask } from './shared-task.ts';
export type { StoreUsage } from './store-parts.ts';

/**
 * Images and layers of a node, in one directory:
 *
 *   oci/          an OCI image layout: manifests, configurations, and layers as they travelled
 *   layers/       every layer unpacked once, under its diffID or, see layer-unpacker.ts, that of its chain
 *   layer-info/   what each of these weighs
 *   scratch/      what is under way
 *
 * A layer's directory is complete and is never written again. Any number of processes read a store; one at a time
 * changes it. Everything rejects with StoreError where its caller can do something about it.
 */
export interface Store {
  /** Where the layers lie: what the launcher is given. */
  readonly layersDir: string;
  /** The image that a name or digest means. In memory. Rejects with StoreError `image_not_found`. */
  resolve(reference: string): Promise<StoredImage>;
  /** An image for each name, and one for each that has none. */
  list(): Promise<StoredImage[]>;
  /** Called after every change of references. */
  onChange(listener: () => void): void;
  hasLayer(name: string): Promise<boolean>;
  /**
   * Unpacks a layer of code unless it is there. `fetchTar` is called at most once however many wait for the layer.
   * Rejects, leaving nothing, when the tar's SHA-256 is not `hex`.
   */
  ensureLayer(hex: string, fetchTar: () => Promise<Uint8Array>): Promise<void>;
  /** "name", "uid", "name:group", "uid:gid" … by the image's /etc/passwd and /etc/group. StoreError `invalid_image`. */
  userOf(image: StoredImage, user: string): Promise<ImageUser>;
  /** Equal pulls at one time are one. StoreError `registry_failed`, `invalid_image`, `storage_full`. */
  pull(request: z.output<typeof pullRequestSchema>, task: ImageTask): Promise<StoredImage>;
  /** Resolves with what was pushed; it has the same digest in the registry. */
  push(request: z.output<typeof pushRequestSchema>, task: ImageTask): Promise<StoredImage>;
  /** An archive of `docker save`, or of an OCI layout. Resolves with the (first) image. */
  importArchive(
    archive: Readable,
    query: { reference?: string | undefined },
    task: ImageTask,
  ): Promise<StoredImage>;
  /** Puts an image together from parts that are there or given: function versions. Idempotent. */
  addImage(source: ImageSource): Promise<StoredImage>;
  summaries(): Promise<ImageSummary[]>;
  inspect(reference: string): Promise<ImageDetail>;
  /** Newest first. */
  history(reference: string): Promise<HistoryEntry[]>;
  /** Gives an image one more name. */
  tag(source: string, target: string): Promise<StoredImage>;
  /** StoreError `image_in_use`. */
  remove(reference: string, options: { force: boolean }): Promise<ImageRemoval>;
  prune(): Promise<PruneResult>;
  /** What sandboxes have written is not the store's to know: zeros. */
  diskUsage(): Promise<DiskUsage>;
  /** Removes what killed processes left half-done. Resolves with the number of directories removed. */
  sweep(): Promise<number>;
}

export interface StoreOptions {
  /** Without one, the store can only be read. */
  unpacker?: LayerUnpacker;
  usage?: StoreUsage;
}

export function openStore(storeDir: string, options: StoreOptions = {}): Store {
  const layersDir = join(storeDir, 'layers');
  const listeners = new Set<() => void>();
  const changed = () => {
    for (const listener of listeners) listener();
  };
  const layout = openOciLayout(join(storeDir, 'oci'));
  const unpacker = options.unpacker ?? readOnly;
  const layers = openLayers(layersDir, join(storeDir, 'layer-info'), unpacker);
  const catalogue = openCatalogue(layout, layers, changed);
  const parts: StoreParts = {
    dir: storeDir,
    layout,
    layers,
    catalogue,
    writer: createWriterLock(storeDir),
    blobMutex: new KeyedMutex(),
    held: new Held(),
    usage: options.usage ?? unused,
    changed,
  };
  const tasks = new SharedTasks<StoredImage>();

  return {
    layersDir,
    resolve: async (reference) => (await catalogue.get(reference)).image,

    async list() {
      return (await catalogue.entries()).map(({ image }) => image).filter((image) => image !== undefined);
    },

    onChange: (listener) => void listeners.add(listener),
    hasLayer: (name) => layers.has(name),
    ensureLayer: (hex, fetchTar) => layers.ensurePlain(hex, fetchTar),
    userOf: (image, user) => findUser(layersDir, image, user),
    pull: (request, task) =>
      tasks.run(JSON.stringify(request), task, (shared) => pullImage(parts, request, shared)),
    push: (request, task) => pushImage(parts, request, task),
    importArchive: (archive, { reference }, task) => importArchive(parts, archive, reference, task),
    addImage: (source) => addImage(parts, source),

    tag: (source, target) =>
      asWriter(parts, `tag ${source}`, async () => {
        const name = localName(target);
        refuseReserved(parts, name);
        const { digest } = await catalogue.get(source);
        await layout.changeIndex((entries) => {
          const found = entries.find(({ manifest }) => manifest.digest === digest);
          return found ? pointAt(entries, name, found.manifest) : entries;
        });
        catalogue.invalidate();
        changed();
        return (await catalogue.get(name)).image;
      }),

    ...createReport(parts),
    ...createRemoval(parts),
    sweep: () => sweepAbandoned(parts),
  };
}

const readOnly: LayerUnpacker = {
  async unpack({ diffId }) {
    throw new Error(`cannot unpack layer ${diffId}: this store was opened for reading`);
  },
  async remove(name) {
    throw new Error(`cannot remove layer ${name}: this store was opened for reading`);
  },
};

const unused: StoreUsage = {
  sandboxesOn: () => 0,
  pinned: async () => ({ images: new Set(), layers: new Set() }),
  drain: async () => () => {},
};
