import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { startLauncher } from '../floors/bench-launcher.ts';
import { slopeOf } from '../report/statistics.ts';
import { diskBytes, makeBenchLayers, payloadBytes } from './bench-layers.ts';
import { availableBytes, settledMemory } from './cgroup-memory.ts';
import { cachedBytes, evict } from './page-cache.ts';
import { type Kind, Population } from './population.ts';

export interface SharingRow {
  sandboxes: number;
  /** Of every layer that the sandboxes are stacked on. */
  diskBytes: number;
  /** Of these layers' files, by mincore. */
  cachedBytes: number;
  /** Page cache charged to the sandboxes and their zone. */
  chargedFileBytes: number;
  /** All memory charged to them. */
  chargedBytes: number;
  /** How much less the machine has available than before the first sandbox. */
  unavailableBytes: number;
}

export interface SharingSeries {
  kind: Kind;
  /** Shared: one image for all. Private: the payload copied for each, as the control. */
  layers: 'shared' | 'private';
  rows: SharingRow[];
  /** Bytes a further sandbox takes: least squares over the rows; NaN for fewer than two. */
  perSandbox: Omit<SharingRow, 'sandboxes'>;
}

interface Options {
  nativeDir: string;
  storeDir: string;
  /** For layers and sockets; on a disk, not in memory. */
  directory: string;
  kind: Kind;
  layers: SharingSeries['layers'];
  /** Rising. */
  counts: readonly number[];
}

const images = { node: 'node', exec: 'bash' } as const;

/** Starts sandboxes on one image, in a zone of their own, and measures at each count while all of them live. */
export async function measureSharing(options: Options): Promise<SharingSeries> {
  const { nativeDir, storeDir, directory, kind, counts } = options;
  const isShared = options.layers === 'shared';
  await mkdir(directory, { recursive: true });
  const layers = await makeBenchLayers(storeDir, images[kind], join(directory, 'layers'));
  const next = async () => {
    if (isShared) return layers.image;
    const copy = await layers.withPrivateCopy();
    // Written just now, so it is cached, and charged to us: only what its sandbox reads shall count.
    await evict(join(layers.directory, copy[0] as string));
    return copy;
  };
  await evict(layers.directory);

  const launcher = await startLauncher({
    buildDir: join(nativeDir, 'build'),
    layersDir: layers.directory,
    directory,
  });
  try {
    const zone = await openZone({
      launcherSocket: launcher.socket,
      interpreter: kind,
      layers: layers.base,
      searchPath: defaultSearchPath,
      isTrusted: true,
    });
    const population = new Population(zone, kind);
    const availableBefore = await availableBytes();
    const rows: SharingRow[] = [];
    for (const sandboxes of counts) {
      await population.grow(sandboxes, next);
      const charged = await settledMemory(launcher.instance, (isShared ? 1 : sandboxes) * payloadBytes);
      rows.push({
        sandboxes,
        diskBytes: await diskBytes(layers.directory),
        cachedBytes: await cachedBytes(layers.directory),
        chargedFileBytes: charged.fileBytes,
        chargedBytes: charged.usedBytes,
        unavailableBytes: availableBefore - (await availableBytes()),
      });
    }
    await population.end();
    await zone.close();
    const slope = (name: Exclude<keyof SharingRow, 'sandboxes'>) =>
      slopeOf(rows.map((row) => [row.sandboxes, row[name]]));
    return {
      kind,
      layers: options.layers,
      rows,
      perSandbox: {
        chargedBytes: slope('chargedBytes'),
        unavailableBytes: slope('unavailableBytes'),
        chargedFileBytes: slope('chargedFileBytes'),
        diskBytes: slope('diskBytes'),
        cachedBytes: slope('cachedBytes'),
      },
    };
  } finally {
    await launcher.stop();
  }
}
