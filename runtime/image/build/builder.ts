import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { z } from 'zod';
import type { buildQuerySchema } from '../../../sdk/contract/image.ts';
import type { StoredImage } from '../image.ts';
import type { ImageTask, Store } from '../store.ts';
import { asStoreError, StoreError } from '../store-error.ts';
import { tarOf } from '../tar-stream.ts';
import { spoolContext } from './build-context.ts';
import { BuildOutput } from './build-output.ts';
import { buildInput, buildSteps } from './buildah.ts';
import { archiveItems, BuiltImageReceiver } from './built-image.ts';
import { type BuildLimits, type BuildReport, runConfinedBuild } from './confined-build.ts';
import { imagesOf } from './dockerfile.ts';

const GiB = 1024 ** 3;

const defaultLimits: BuildLimits = {
  memoryBytes: 2 * GiB,
  diskBytes: 8 * GiB,
  diskInodes: 1_000_000,
  pids: 1024,
  cpus: 2,
  wallMs: 10 * 60_000,
};
/** Of a context, uncompressed. */
const maxContextBytes = 1 * GiB;

export interface BuildOptions extends ImageTask {
  store: Pick<Store, 'layersDir' | 'resolve' | 'importArchive'>;
  launcherSocket: string;
  limits?: Partial<BuildLimits>;
}

/**
 * Builds an image from a context (a tar, gzipped or not) and gives it the query's reference. The Dockerfile and all it
 * runs is untrusted: buildah works in a confinement, and what comes out of it is imported like any stranger's archive.
 * Throws StoreError: `invalid_request` for a context or Dockerfile that cannot be read, `image_not_found` for one it
 * stands on, `build_failed` with the end of the output when the builder fails or passes a cap, `storage_full`.
 */
export async function buildImage(
  context: Readable,
  query: z.output<typeof buildQuerySchema>,
  options: BuildOptions,
): Promise<StoredImage> {
  const { store, launcherSocket, onEvent, signal } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const scratch = await makeScratch(store);
  try {
    onEvent({ type: 'step', step: 'upload', subject: 'context' });
    const contextPath = join(scratch, 'context.tar');
    const { sizeBytes, dockerfile } = await spoolContext(context, {
      path: contextPath,
      dockerfile: query.dockerfile,
      maxBytes: Math.min(maxContextBytes, limits.diskBytes),
      signal,
    });

    onEvent({ type: 'step', step: 'resolve', subject: query.dockerfile });
    const images = await resolveImages(dockerfile, query, store);
    const bases = [...new Map([...images.values()].map((image) => [image.digest, image])).values()];

    onEvent({ type: 'step', step: 'build', subject: query.reference });
    const output = new BuildOutput((line) => onEvent({ type: 'output', line }));
    const result = join(scratch, 'result');
    await mkdir(result);
    const receiver = new BuiltImageReceiver(result, limits.diskBytes);
    const report = await runConfinedBuild({
      launcherSocket,
      limits,
      layers: [...new Set(bases.flatMap((image) => image.layers))],
      input: tarOf(
        buildInput({
          dockerfile,
          args: query.args,
          target: query.target,
          images,
          context: { sizeBytes, stream: () => createReadStream(contextPath) },
        }),
      ),
      onOutput: (bytes) => output.push(bytes),
      onBuilt: (bytes) => receiver.push(bytes),
      signal,
    });
    output.end();
    checkReport(report, limits, output.tail);

    const built = await receiver.end(bases);
    const archive = Readable.from(tarOf(archiveItems(built, query.reference)));
    return await store.importArchive(archive, { reference: query.reference }, { onEvent, signal });
  } catch (error) {
    throw asStoreError(error, `build ${query.reference}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function resolveImages(
  dockerfile: string,
  { args, target, dockerfile: path }: z.output<typeof buildQuerySchema>,
  store: Pick<Store, 'resolve'>,
): Promise<Map<string, StoredImage>> {
  let references: string[];
  try {
    references = imagesOf(dockerfile, { args, target });
  } catch (error) {
    throw new StoreError('invalid_request', `cannot read ${path}: ${(error as Error).message}`);
  }
  const images = new Map<string, StoredImage>();
  for (const reference of references) {
    try {
      images.set(reference, await store.resolve(reference));
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'image_not_found') throw error;
      throw new StoreError(
        'image_not_found',
        `cannot build: there is no image "${reference}" here; get it with "oncebox pull ${reference}"`,
        { cause: error },
      );
    }
  }
  return images;
}

function checkReport(report: BuildReport, limits: BuildLimits, tail: string): void {
  const { cause, command, exitCode, signal, oomKills, pidsRefused } = report;
  if (cause === 'full')
    throw new StoreError('storage_full', 'cannot build: the disk of the image store is full');
  if (cause === 'wall') throw failed(`it did not end within ${limits.wallMs / 1000} s`, tail);
  if (cause === 'disk') {
    const { diskBytes, diskInodes } = limits;
    throw failed(`it wrote more than ${diskBytes} bytes or ${diskInodes} files`, tail);
  }
  if (exitCode === 0) return;
  if (command === buildSteps.context)
    throw new StoreError('invalid_request', `cannot unpack the build context:\n${tail}`);
  const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}`;
  const notes = [
    oomKills > 0 ? `, out of memory (cap ${limits.memoryBytes} bytes)` : '',
    pidsRefused > 0 ? `, out of processes (cap ${limits.pids})` : '',
  ];
  throw failed(`the builder ended with ${how}${notes.join('')}`, tail);
}

function failed(reason: string, tail: string): StoreError {
  return new StoreError('build_failed', `cannot build: ${reason}${tail === '' ? '' : `\n${tail}`}`);
}

/** On the disk of the store, which sweeps it when we are killed. */
async function makeScratch({ layersDir }: Pick<Store, 'layersDir'>): Promise<string> {
  const parent = join(dirname(layersDir), 'scratch');
  await mkdir(parent, { recursive: true, mode: 0o700 });
  return mkdtemp(join(parent, `${process.pid}-`));
}
