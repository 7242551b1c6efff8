import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Descriptor, indexSchema, mediaTypes, parseJson, referenceAnnotation } from './oci-schemas.ts';
import { localName } from './reference.ts';

/** A line of index.json: an image's manifest, under a name or, dangling, under none. */
export interface IndexEntry {
  reference: string | null;
  manifest: Descriptor;
}

/**
 * The OCI image layout (image-spec, image-layout.md) in `dir`. Blobs are kept byte for byte, so that an image has here
 * the digest that it has in its registry. What has been written outlives a crash of the machine: it is synced before
 * it gets its name. Whoever changes the index holds the store's writer lock.
 */
export function openOciLayout(dir: string) {
  const blobDir = join(dir, 'blobs', 'sha256');
  const indexPath = join(dir, 'index.json');
  const blobPath = (digest: string) => join(blobDir, digestHex(digest));
  let changing: Promise<unknown> = Promise.resolve();

  async function readIndex(): Promise<IndexEntry[]> {
    const text = await readFile(indexPath, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '{"schemaVersion":2,"manifests":[]}';
      throw error;
    });
    return parseJson(indexSchema, text, indexPath).manifests.map(({ annotations, ...manifest }) => ({
      reference: fullName(annotations?.[referenceAnnotation]),
      manifest,
    }));
  }

  return {
    dir,
    blobDir,
    /** What `--shared-blob-dir` of skopeo wants: the directory above `sha256/`. */
    sharedBlobDir: join(dir, 'blobs'),
    indexPath,
    blobPath,
    readIndex,

    async init(): Promise<void> {
      await mkdir(blobDir, { recursive: true });
      const marker = join(dir, 'oci-layout');
      if ((await sizeOf(marker)) === undefined) {
        await replaceFile(marker, JSON.stringify({ imageLayoutVersion: '1.0.0' }));
      }
    },

    readBlob: (digest: string): Promise<Buffer> => readFile(blobPath(digest)),

    /** Bytes, or undefined when it is not there. */
    blobSize: (digest: string): Promise<number | undefined> => sizeOf(blobPath(digest)),

    /** Moves a file, on the same filesystem, to its blob. The caller has checked its digest. */
    async adoptBlob(path: string, digest: string): Promise<void> {
      const file = await open(path, 'r+');
      try {
        await file.chmod(0o644);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(path, blobPath(digest));
      await syncDirectory(blobDir);
    },

    async writeBlob(bytes: Uint8Array): Promise<string> {
      const digest = sha256(bytes);
      if ((await sizeOf(blobPath(digest))) !== bytes.length) await replaceFile(blobPath(digest), bytes);
      return digest;
    },

    removeBlob: (digest: string): Promise<void> => rm(blobPath(digest), { force: true }),

    async listBlobs(): Promise<Map<string, number>> {
      const names = (await readdir(blobDir).catch(() => [])).filter((name) => /^[a-f0-9]{64}$/.test(name));
      const sizes = await Promise.all(names.map((name) => sizeOf(join(blobDir, name))));
      return new Map(names.map((name, index) => [`sha256:${name}`, sizes[index] ?? 0]));
    },

    /** Replaces index.json by what `change` makes of its entries; one change after the other. */
    changeIndex(change: (entries: IndexEntry[]) => IndexEntry[]): Promise<void> {
      const work = changing.then(async () => {
        const manifests = change(await readIndex()).map(({ reference, manifest }) =>
          reference === null ? manifest : { ...manifest, annotations: { [referenceAnnotation]: reference } },
        );
        const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests };
        await replaceFile(indexPath, JSON.stringify(index));
      });
      changing = work.catch(() => {});
      return work;
    },
  };
}

export type OciLayout = ReturnType<typeof openOciLayout>;

/**
 * Points `reference` at the manifest; null keeps it without a name. An image that loses its last name so stays, as a
 * dangling one.
 */
export function pointAt(entries: IndexEntry[], reference: string | null, manifest: Descriptor): IndexEntry[] {
  const before = entries.filter((entry) => entry.reference !== null && entry.reference === reference);
  const others = entries.filter((entry) => entry.reference === null || entry.reference !== reference);
  const added = [
    ...others,
    ...before.map((entry) => ({ ...entry, reference: null })),
    { reference, manifest },
  ];
  return tidy(added);
}

/** One line for each name; one without a name for each image that has none, and for no other. */
export function tidy(entries: IndexEntry[]): IndexEntry[] {
  const named = entries.filter(({ reference }) => reference !== null);
  const seen = new Set(named.map(({ manifest }) => manifest.digest));
  const dangling = entries.filter(({ reference, manifest }) => {
    if (reference !== null || seen.has(manifest.digest)) return false;
    seen.add(manifest.digest);
    return true;
  });
  return [...named, ...dangling];
}

/** Stores of the first releases have short names. */
function fullName(name: string | undefined): string | null {
  if (name === undefined) return null;
  return name.includes('/') ? name : localName(name);
}

export function digestHex(digest: string): string {
  return digest.slice('sha256:'.length);
}

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A reader sees the old or the new content, never half of it, also after a power cut. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}-${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o644);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (stats) => stats.size,
    () => undefined,
  );
}
