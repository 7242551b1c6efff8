import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Catalogue } from './catalogue.ts';
import type { KeyedMutex } from './keyed-mutex.ts';
import type { Layers } from './layers.ts';
import type { OciLayout } from './oci-layout.ts';
import { asStoreError, StoreError } from './store-error.ts';
import type { WriterLock } from './writer-lock.ts';

/** What the store's operations work with. */
export interface StoreParts {
  dir: string;
  layout: OciLayout;
  layers: Layers;
  catalogue: Catalogue;
  writer: WriterLock;
  /** Of blobs that are being fetched. */
  blobMutex: KeyedMutex;
  held: Held;
  usage: StoreUsage;
  /** Tells whoever wants to know that references have changed. */
  changed(): void;
}

/** Who stands on what, which the store cannot know. */
export interface StoreUsage {
  /** Sandboxes that stand on the image now (parked included). */
  sandboxesOn(digest: string): number;
  /** Digests that something outside of the store refers to (function versions' images), and code layers (hex). */
  pinned(): Promise<{ images: ReadonlySet<string>; layers: ReadonlySet<string> }>;
  /**
   * Takes no new invocations on the image, waits for those that run, and closes its pools and zones. Resolves with what
   * lets invocations in again, should the image come back.
   */
  drain(digest: string): Promise<() => void>;
  /** Full names that nobody may give, move or take away. */
  reserved?: ReadonlySet<string>;
}

/** Throws StoreError `image_in_use` for a name that the platform itself goes by. */
export function refuseReserved({ usage }: Pick<StoreParts, 'usage'>, reference: string): void {
  if (!usage.reserved?.has(reference)) return;
  throw new StoreError(
    'image_in_use',
    `cannot change what ${reference} points at: it is a base image of the platform; choose another name`,
  );
}

/** Blobs (`sha256:…`) and layers (diffID in hex) that an operation under way counts on: not to be removed. */
export class Held {
  readonly #counts = new Map<string, number>();

  has(name: string): boolean {
    return this.#counts.has(name);
  }

  /** Returns what lets them go. */
  hold(names: Iterable<string>): () => void {
    const held = [...names];
    for (const name of held) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    return () => {
      for (const name of held.splice(0)) {
        const count = (this.#counts.get(name) ?? 1) - 1;
        if (count === 0) this.#counts.delete(name);
        else this.#counts.set(name, count);
      }
    };
  }
}

/**
 * Runs `work` as the writer of the store, with a directory of its own on the store's filesystem, removed afterwards.
 * A full disk becomes StoreError `storage_full`.
 */
export async function asWriter<Value>(
  parts: StoreParts,
  doing: string,
  work: (scratch: string) => Promise<Value>,
): Promise<Value> {
  const scratch = join(scratchDirOf(parts.dir), `${process.pid}-${randomUUID()}`);
  const release = await parts.writer.hold();
  try {
    await parts.layout.init();
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    return await work(scratch);
  } catch (error) {
    throw asStoreError(error, doing);
  } finally {
    await rm(scratch, { recursive: true, force: true }).catch(() => {});
    release();
  }
}

const scratchDirOf = (storeDir: string) => join(storeDir, 'scratch');

/**
 * Removes what killed processes left half-done; half-unpacked layers are the launcher's to sweep. Resolves with the
 * number of entries removed.
 */
export async function sweepAbandoned({ dir, layout }: StoreParts): Promise<number> {
  const temporary = /\.(\d+)-[a-f0-9-]+\.tmp$/;
  const places = [
    { path: scratchDirOf(dir), pattern: /^(\d+)-/ },
    ...[layout.dir, layout.blobDir, join(dir, 'layer-info')].map((path) => ({ path, pattern: temporary })),
  ];
  let removed = 0;
  for (const { path, pattern } of places) {
    for (const name of await readdir(path).catch(() => [])) {
      const pid = pattern.exec(name)?.[1];
      if (pid === undefined || isAlive(Number(pid))) continue;
      await rm(join(path, name), { recursive: true, force: true });
      removed += 1;
    }
  }
  return removed;
}

export async function freeBytesOf(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, as another user.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
