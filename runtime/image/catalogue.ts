import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoredImage } from './image.ts';
import { type Layers, locateLayers } from './layers.ts';
import { digestHex, type IndexEntry, type OciLayout } from './oci-layout.ts';
import { type Config, configSchema, type Manifest, manifestSchema, parseJson } from './oci-schemas.ts';
import { lookupOf } from './reference.ts';
import { StoreError } from './store-error.ts';

/** Changes by other processes are noticed this late, milliseconds. */
const trustMs = 1000;

/** An image under one of its names. */
export interface CatalogueEntry {
  reference: string | null;
  digest: string;
  texts: ImageTexts;
  /** Undefined where a layer's directory is missing; `missing` says which, by diffID in hex. */
  image: StoredImage | undefined;
  missing: readonly string[];
}

interface ImageTexts {
  manifestJson: string;
  configJson: string;
  manifest: Manifest;
  config: Config;
  /** Hex, lowest first. */
  diffIds: readonly string[];
}

export interface Catalogue {
  /** What index.json says now, in memory: no disk is touched when nothing has changed for a second. */
  entries(): Promise<readonly CatalogueEntry[]>;
  /** The entry that a reference means, or undefined. */
  find(reference: string): Promise<CatalogueEntry | undefined>;
  /** As `find`. Throws StoreError `image_not_found`, also for an image that is not whole. */
  get(reference: string): Promise<CatalogueEntry & { image: StoredImage }>;
  /** To be called after every change of ours. */
  invalidate(): void;
}

interface Snapshot {
  entries: readonly CatalogueEntry[];
  /** Of the files that it was read from. */
  stamp: string;
  checkedAtMs: number;
}

/** `onForeignChange` is called when another process has changed the index. */
export function openCatalogue(layout: OciLayout, layers: Layers, onForeignChange: () => void): Catalogue {
  // Content never changes under a digest.
  const texts = new Map<string, Promise<ImageTexts>>();
  let snapshot: Promise<Snapshot> | undefined;

  async function entries(fresh = false): Promise<readonly CatalogueEntry[]> {
    snapshot ??= load();
    const current = snapshot;
    const known = await current.catch((error: unknown) => {
      if (snapshot === current) snapshot = undefined;
      throw error;
    });
    if (!fresh && performance.now() - known.checkedAtMs < trustMs) return known.entries;
    // Of many who ask, one looks.
    known.checkedAtMs = performance.now();
    if ((await stampOf()) === known.stamp) return known.entries;
    if (snapshot !== current) return entries();
    snapshot = load();
    const loaded = await snapshot;
    if (indexPart(known.stamp) !== indexPart(loaded.stamp)) onForeignChange();
    return loaded.entries;
  }

  async function find(reference: string): Promise<CatalogueEntry | undefined> {
    return pick(await entries(), reference) ?? pick(await entries(true), reference);
  }

  return {
    entries,
    find,

    async get(reference) {
      const entry = await find(reference);
      if (!entry) {
        throw new StoreError(
          'image_not_found',
          `there is no image "${reference}" on this node: pull it first`,
        );
      }
      if (entry.image) return { ...entry, image: entry.image };
      throw new StoreError(
        'image_not_found',
        `cannot use image "${reference}": layer ${entry.missing[0]} is not unpacked; pull it again, or run "npm run setup" for a base image`,
      );
    },

    invalidate() {
      snapshot = undefined;
    },
  };

  async function load(): Promise<Snapshot> {
    // Before the reading: a change meanwhile is seen by the next look.
    const stamp = await stampOf();
    const [index, present] = await Promise.all([layout.readIndex(), layers.names()]);
    const found = await Promise.all(index.map((entry) => describe(entry, present)));
    const whole = found.filter((entry) => entry !== undefined);
    return { entries: whole, stamp, checkedAtMs: performance.now() };
  }

  /** Undefined for an entry whose manifest or configuration is gone or damaged: the next pull writes it anew. */
  async function describe(
    { reference, manifest: { digest } }: IndexEntry,
    present: ReadonlySet<string>,
  ): Promise<CatalogueEntry | undefined> {
    const text = await textsOf(digest).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'invalid_image') return undefined;
      throw error;
    });
    if (!text) return undefined;
    const located = locateLayers(text.diffIds, present);
    const missing = text.diffIds.filter((_, index) => located[index] === undefined);
    if (missing.length > 0) return { reference, digest, texts: text, image: undefined, missing };
    const names = located as string[];
    const infos = await Promise.all(names.map((name) => layers.info(name)));
    const image: StoredImage = {
      digest,
      layers: names.toReversed(),
      reference,
      config: text.config.config ?? {},
      sizeBytes: infos.reduce((sum, { diskBytes }) => sum + diskBytes, 0),
      manifestJson: text.manifestJson,
      configJson: text.configJson,
    };
    return { reference, digest, texts: text, image, missing };
  }

  function textsOf(digest: string): Promise<ImageTexts> {
    let known = texts.get(digest);
    if (!known) {
      known = readTexts(digest);
      texts.set(digest, known);
      known.catch(() => texts.delete(digest));
    }
    return known;
  }

  async function readTexts(digest: string): Promise<ImageTexts> {
    const manifestJson = (await layout.readBlob(digest)).toString();
    const manifest = parseJson(manifestSchema, manifestJson, `manifest ${digest}`);
    const configJson = (await layout.readBlob(manifest.config.digest)).toString();
    const config = parseJson(configSchema, configJson, `configuration ${manifest.config.digest}`);
    return { manifestJson, configJson, manifest, config, diffIds: config.rootfs.diff_ids.map(digestHex) };
  }

  async function stampOf(): Promise<string> {
    const stamps = [layout.indexPath, join(layers.dir)].map((path) =>
      stat(path, { bigint: true }).then(
        ({ ino, mtimeNs }) => `${ino} ${mtimeNs}`,
        () => 'none',
      ),
    );
    return (await Promise.all(stamps)).join('\n');
  }
}

function indexPart(stamp: string): string | undefined {
  return stamp.split('\n')[0];
}

function pick(entries: readonly CatalogueEntry[], reference: string): CatalogueEntry | undefined {
  const { names, digest } = lookupOf(reference);
  for (const name of names) {
    const entry = entries.find((one) => one.reference === name);
    if (entry) return entry;
  }
  return digest === undefined ? undefined : entries.find((one) => one.digest === digest);
}
