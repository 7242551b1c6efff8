import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buildImage } from '../build/builder.ts';
import type { StoredImage } from '../image.ts';
import type { ImageTask, Store } from '../store.ts';
import { asStoreError } from '../store-error.ts';
import { tarOf } from '../tar-stream.ts';
import { fetchArchives, packagesLabel } from './apt.ts';
import { withLabels, withLayer } from './compose.ts';
import { packagesLayer } from './packages-layer.ts';

export interface PackageImageOptions extends ImageTask {
  store: Pick<Store, 'layersDir' | 'resolve' | 'importArchive' | 'addImage'>;
  launcherSocket: string;
  /** What it stands on: a base image of set-up, which says what packages it is made of. */
  base: string;
  packages: readonly string[];
  /** Commands of a shell, run as root in a confinement, once the packages are unpacked. */
  setup: readonly string[];
  /** Of the image and what it is made of, without a tag. */
  name: string;
  /** sources.list lines in the place of the machine's own. */
  sources?: readonly string[] | undefined;
}

/**
 * An image of Debian packages: one layer of all that is in them, and one of what the set-up commands wrote. It is called
 * `name:complete`; that and the names of what it was made of are the caller's to remove, also when this rejects. Throws
 * StoreError `packages_failed`, `build_failed`, `storage_full`.
 */
export async function makePackageImage(options: PackageImageOptions): Promise<StoredImage> {
  const { store, packages, name, sources, onEvent, signal } = options;
  const parent = join(dirname(store.layersDir), 'scratch');
  await mkdir(parent, { recursive: true, mode: 0o700 });
  // The store sweeps it when we are killed.
  const scratch = await mkdtemp(join(parent, `${process.pid}-`));
  try {
    const base = await store.resolve(options.base);
    const below = (base.config.Labels?.[packagesLabel] ?? '').split(' ').filter((text) => text !== '');
    const apt = join(scratch, 'apt');
    const unpacked = join(scratch, 'unpacked');
    for (const path of [apt, unpacked]) await mkdir(path);
    const archives = await fetchArchives({
      directory: apt,
      installed: below,
      wanted: packages,
      sources,
      onEvent,
      signal,
    });
    const layer = await packagesLayer(archives, { directory: unpacked, onEvent, signal });
    const stacked = withLayer(base, layer, `packages of Debian: ${packages.join(' ')}`);
    const image = await store.addImage({
      ...stacked,
      blobs: new Map([[layer.digest, layer.path]]),
      reference: `${name}:packages`,
    });
    signal.throwIfAborted();
    const labelled = {
      [packagesLabel]: latest([...below, ...archives.map((one) => one.package)]).join(' '),
    };
    const done = options.setup.length === 0 ? image : await setUp(options);
    return await store.addImage({
      ...withLabels(done, labelled),
      blobs: new Map(),
      reference: `${name}:complete`,
    });
  } catch (error) {
    throw asStoreError(error, `make ${name}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Of a package that lies above one of the same name, the upper. */
function latest(packages: readonly string[]): string[] {
  return [...new Map(packages.map((text) => [text.replace(/=.*/, ''), text])).values()].sort();
}

function setUp({ store, launcherSocket, setup, name, onEvent, signal }: PackageImageOptions) {
  onEvent({ type: 'step', step: 'setup', subject: name });
  const dockerfile = [`FROM ${name}:packages`, ...setup.map((command) => `RUN ${command}`), ''].join('\n');
  const context = tarOf([{ path: 'Dockerfile', type: 'File', data: Buffer.from(dockerfile) }]);
  return buildImage(
    Readable.from(context),
    { reference: `${name}:setup`, dockerfile: 'Dockerfile', args: {}, target: undefined },
    {
      store,
      launcherSocket,
      // Its steps are ours; what the commands print is the caller's to see.
      onEvent: (event) => event.type === 'output' && onEvent(event),
      signal,
    },
  );
}
