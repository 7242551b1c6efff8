import type { ImageRemoval, PruneResult } from '../../sdk/contract/image.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { locateLayers } from './layers.ts';
import { type IndexEntry, tidy } from './oci-layout.ts';
import { lookupOf } from './reference.ts';
import { StoreError } from './store-error.ts';
import { asWriter, refuseReserved, type StoreParts } from './store-parts.ts';

/** Taking names and images away, and what nothing refers to any more. */
export function createRemoval(parts: StoreParts) {
  const { catalogue, layout, layers, held, usage } = parts;

  return {
    /**
     * Takes a name away; with the last name, or by digest, the image too. Throws StoreError `image_in_use`: `force`
     * drains sandboxes first, but cannot part an image from a function.
     */
    remove(reference: string, { force }: { force: boolean }): Promise<ImageRemoval> {
      return asWriter(parts, `remove ${reference}`, async () => {
        const entry = await catalogue.find(reference);
        if (!entry) {
          throw new StoreError('image_not_found', `there is no image "${reference}" on this node`);
        }
        const { digest } = entry;
        const all = (await catalogue.entries()).filter((one) => one.digest === digest);
        const byName = lookupOf(reference).names.includes(entry.reference ?? '');
        const gone = byName ? all.filter((one) => one.reference === entry.reference) : all;
        const untagged = gone.map((one) => one.reference).filter((name) => name !== null);
        for (const name of untagged) refuseReserved(parts, name);
        if (gone.length < all.length) {
          await forget(({ reference: name }) => !untagged.includes(name ?? ''));
          return { untagged, deleted: [], freedBytes: 0 };
        }
        await checkUnused(entry, reference, force);
        // Also where nothing stands on it: what is about to start would otherwise lose its layers under its feet.
        const readmit = await usage.drain(digest);
        try {
          await forget(({ manifest }) => manifest.digest !== digest);
          const { freedBytes } = await collect(await inventory([entry]));
          return { untagged, deleted: [digest], freedBytes };
        } finally {
          readmit();
        }
      });
    },

    /** Removes images without a name that nothing uses, and layers and blobs of no image. */
    prune(): Promise<PruneResult> {
      return asWriter(parts, 'prune images', async () => {
        const pinned = await usage.pinned();
        const all = await catalogue.entries();
        const unused = all.filter(
          ({ reference, digest }) =>
            reference === null &&
            !pinned.images.has(digest) &&
            !held.has(digest) &&
            usage.sandboxesOn(digest) === 0,
        );
        const digests = new Set(unused.map(({ digest }) => digest));
        // What the index has and the catalogue has not is an image whose manifest or configuration is lost.
        const kept = new Set(all.map(({ digest }) => digest).filter((digest) => !digests.has(digest)));
        if ((await layout.readIndex()).some(({ manifest }) => !kept.has(manifest.digest))) {
          await forget(({ manifest }) => kept.has(manifest.digest) || held.has(manifest.digest));
        }
        const everything = {
          blobs: new Set((await layout.listBlobs()).keys()),
          layerNames: await layers.names(),
          diffIds: new Map<string, string>(),
        };
        const known = await inventory(unused);
        const { freedBytes, layerIds, blobs } = await collect({ ...everything, diffIds: known.diffIds });
        return { images: [...digests], layers: layerIds, blobs, freedBytes };
      });
    },
  };

  async function checkUnused({ digest }: CatalogueEntry, reference: string, force: boolean): Promise<void> {
    const { images } = await usage.pinned();
    if (images.has(digest)) {
      throw new StoreError(
        'image_in_use',
        `cannot remove ${reference} (${digest}): a function stands on it, or the platform itself; delete the function first`,
      );
    }
    const sandboxes = usage.sandboxesOn(digest);
    if (sandboxes > 0 && !force) {
      const count = sandboxes === 1 ? 'a sandbox stands' : `${sandboxes} sandboxes stand`;
      throw new StoreError(
        'image_in_use',
        `cannot remove ${reference}: ${count} on it (${digest}); "force" waits for them and removes it then`,
      );
    }
  }

  async function forget(keep: (entry: IndexEntry) => boolean): Promise<void> {
    await layout.changeIndex((entries) => tidy(entries.filter(keep)));
    catalogue.invalidate();
    parts.changed();
  }

  /** Blobs, layer directories and their diffIDs of some images. */
  async function inventory(entries: readonly CatalogueEntry[]): Promise<Inventory> {
    const present = await layers.names();
    const found: Inventory = { blobs: new Set(), layerNames: new Set(), diffIds: new Map() };
    for (const { digest, texts } of entries) {
      found.blobs.add(digest).add(texts.manifest.config.digest);
      for (const layer of texts.manifest.layers) found.blobs.add(layer.digest);
      for (const [index, name] of locateLayers(texts.diffIds, present).entries()) {
        if (name === undefined) continue;
        found.layerNames.add(name);
        found.diffIds.set(name, texts.diffIds[index] as string);
      }
    }
    return found;
  }

  /** Removes those of `candidates` that nothing needs: no image, no function, no operation under way. */
  async function collect(candidates: Inventory) {
    const pinned = await usage.pinned();
    const sizes = await layout.listBlobs();
    const layerIds: string[] = [];
    const blobs: string[] = [];
    let freedBytes = 0;
    // Asked right before each removal: a pull may have begun meanwhile, or ended.
    const neededNow = async () => inventory(await catalogue.entries());
    for (const name of candidates.layerNames) {
      const diffId = candidates.diffIds.get(name) ?? name;
      if ((await neededNow()).layerNames.has(name) || pinned.layers.has(name)) continue;
      if (held.has(diffId) || held.has(name)) continue;
      freedBytes += await layers.remove(name);
      layerIds.push(`sha256:${diffId}`);
    }
    for (const digest of candidates.blobs) {
      if ((await neededNow()).blobs.has(digest) || held.has(digest)) continue;
      await layout.removeBlob(digest);
      freedBytes += sizes.get(digest) ?? 0;
      blobs.push(digest);
    }
    catalogue.invalidate();
    return { freedBytes, layerIds, blobs };
  }
}

interface Inventory {
  blobs: Set<string>;
  layerNames: Set<string>;
  /** Of layer directories, hex. */
  diffIds: Map<string, string>;
}
