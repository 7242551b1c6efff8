import type { DiskUsage, HistoryEntry, ImageDetail, ImageSummary } from '../../sdk/contract/image.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { locateLayers } from './layers.ts';
import { freeBytesOf, type StoreParts } from './store-parts.ts';

/** What `docker images`, `inspect`, `history` and `system df` show, of this store. Only whole images are shown. */
export function createReport(parts: StoreParts) {
  const { catalogue, layers, layout, usage } = parts;

  async function summaries(): Promise<ImageSummary[]> {
    const entries = await catalogue.entries();
    const whole = entries.filter((entry) => entry.image !== undefined);
    const rows = whole.map((entry) => summarize(entry, entries));
    const byName = (a: string | null, b: string | null) =>
      a === null ? 1 : b === null ? -1 : a < b ? -1 : 1;
    return (await Promise.all(rows)).sort((a, b) => byName(a.reference, b.reference));
  }

  async function summarize(
    { reference, digest, image, texts }: CatalogueEntry,
    entries: readonly CatalogueEntry[],
  ): Promise<ImageSummary> {
    const others = entries.filter((entry) => entry.digest !== digest);
    const elsewhere = new Set(others.flatMap((entry) => entry.image?.layers ?? []));
    let sharedBytes = 0;
    let uniqueBytes = 0;
    for (const name of new Set(image?.layers)) {
      const { diskBytes } = await layers.info(name);
      if (elsewhere.has(name)) sharedBytes += diskBytes;
      else uniqueBytes += diskBytes;
    }
    return {
      reference,
      digest,
      created: texts.config.created ?? null,
      sizeBytes: sharedBytes + uniqueBytes,
      sharedBytes,
      uniqueBytes,
      layers: texts.diffIds.length,
      sandboxes: usage.sandboxesOn(digest),
    };
  }

  return {
    summaries,

    async inspect(reference: string): Promise<ImageDetail> {
      const entry = await catalogue.get(reference);
      const entries = await catalogue.entries();
      const { manifest, config, diffIds, manifestJson } = entry.texts;
      const names = entry.image.layers.toReversed();
      const infos = await Promise.all(names.map((name) => layers.info(name)));
      return {
        ...(await summarize(entry, entries)),
        references: entries
          .filter(({ digest }) => digest === entry.digest)
          .map((one) => one.reference)
          .filter((name) => name !== null),
        os: config.os || 'linux',
        architecture: config.architecture,
        config: config.config ?? {},
        layerDetails: manifest.layers.map((layer, index) => ({
          diffId: `sha256:${diffIds[index]}`,
          blobDigest: layer.digest,
          mediaType: layer.mediaType,
          blobBytes: layer.size,
          sizeBytes: infos[index]?.diskBytes ?? 0,
        })),
        manifest: JSON.parse(manifestJson),
      };
    },

    /** An image whose history has not one entry for each layer (nothing demands it) has its nameless layers last. */
    async history(reference: string): Promise<HistoryEntry[]> {
      const { texts, image } = await catalogue.get(reference);
      const names = image.layers.toReversed();
      const sizes = await Promise.all(names.map(async (name) => (await layers.info(name)).diskBytes));
      let next = 0;
      const take = () => {
        const diffId = texts.diffIds[next];
        if (diffId === undefined) return { layer: null, sizeBytes: 0 };
        next += 1;
        return { layer: `sha256:${diffId}`, sizeBytes: sizes[next - 1] ?? 0 };
      };
      const steps = (texts.config.history ?? []).map((step) => ({
        ...(step.empty_layer ? { layer: null, sizeBytes: 0 } : take()),
        created: step.created ?? null,
        createdBy: step.created_by ?? '',
        comment: step.comment ?? '',
      }));
      while (next < texts.diffIds.length) {
        steps.push({ ...take(), created: null, createdBy: '', comment: '' });
      }
      return steps.reverse();
    },

    async diskUsage(): Promise<DiskUsage> {
      const [entries, blobs, names] = await Promise.all([
        catalogue.entries(),
        layout.listBlobs(),
        layers.names(),
      ]);
      const pinned = await usage.pinned();
      const isNeeded = ({ reference, digest }: CatalogueEntry) =>
        reference !== null || pinned.images.has(digest) || usage.sandboxesOn(digest) > 0;
      const needed = entries.filter(isNeeded);
      const textDigests = (list: readonly CatalogueEntry[]) =>
        new Set(list.flatMap(({ digest, texts }) => [digest, texts.manifest.config.digest]));
      const layerDigests = new Set(
        needed.flatMap(({ texts }) => texts.manifest.layers.map((layer) => layer.digest)),
      );
      const neededNames = new Set([
        ...pinned.layers,
        ...needed.flatMap(({ texts }) => locateLayers(texts.diffIds, names)),
      ]);
      const allTexts = textDigests(entries);
      const neededTexts = textDigests(needed);
      const weigh = (digest: string): [string, number] => [digest, blobs.get(digest) ?? 0];
      const layerSizes = await Promise.all(
        [...names].map(
          async (name): Promise<[string, number]> => [name, (await layers.info(name)).diskBytes],
        ),
      );
      return {
        images: {
          ...line([...allTexts].map(weigh), neededTexts),
          count: new Set(entries.map(({ digest }) => digest)).size,
        },
        layers: line(layerSizes, neededNames),
        blobs: line([...blobs.keys()].filter((digest) => !allTexts.has(digest)).map(weigh), layerDigests),
        sandboxes: { count: 0, bytes: 0, reclaimableBytes: 0 },
        freeBytes: await freeBytesOf(parts.dir),
      };
    },
  };
}

function line(sizes: readonly [string, number][], needed: ReadonlySet<string | undefined>) {
  const sum = (list: readonly [string, number][]) => list.reduce((total, [, bytes]) => total + bytes, 0);
  const reclaimable = sizes.filter(([name]) => !needed.has(name));
  return { count: sizes.length, bytes: sum(sizes), reclaimableBytes: sum(reclaimable) };
}
