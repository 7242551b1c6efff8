import { lstat, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import type { pullRequestSchema } from '../../sdk/contract/image.ts';
import { admitImage } from './admit.ts';
import type { StoredImage } from './image.ts';
import { digestHex, sha256 } from './oci-layout.ts';
import { type Descriptor, indexSchema, manifestSchema, mediaTypes, parseJson } from './oci-schemas.ts';
import { choosePlatform } from './platform.ts';
import { parseReference, pullName, repositoryOf } from './reference.ts';
import type { ImageTask } from './shared-task.ts';
import { registryOptions, runSkopeo, type SkopeoRun } from './skopeo.ts';
import { StoreError } from './store-error.ts';
import { asWriter, type StoreParts } from './store-parts.ts';

const progressIntervalMs = 250;

/**
 * Pulls an image from its registry by skopeo. Manifest and configuration are asked for as they are, so that the digest
 * stays the registry's; only layers that the store has not are fetched.
 */
export async function pullImage(
  parts: StoreParts,
  request: z.output<typeof pullRequestSchema>,
  task: ImageTask,
): Promise<StoredImage> {
  const reference = parseReference(request.reference);
  const subject = pullName(reference);
  const repository = repositoryOf(reference);
  const registry = repository.slice(0, repository.indexOf('/'));
  const doing = `pull ${subject}`;
  return asWriter(parts, doing, async (scratch) => {
    const run: SkopeoRun = { scratch, signal: task.signal, doing };
    const options = await registryOptions(registry, request, scratch, '');
    const read = (name: string, ...more: string[]) =>
      runSkopeo(['inspect', '--raw', ...more, ...options, `docker://${name}`], run);

    task.onEvent({ type: 'step', step: 'resolve', subject });
    const found = await read(subject);
    checkDigest(found, reference.digest, subject);
    const chosen = chooseManifest(found, subject);
    const manifest = chosen ? await read(`${repository}@${chosen}`) : found;
    checkDigest(manifest, chosen, subject);
    const exact = `${repository}@${sha256(manifest)}`;
    parseJson(manifestSchema, manifest, `the manifest of ${subject}`);
    const config = await read(exact, '--config');

    const fetch = (missing: readonly Descriptor[]) =>
      fetchBlobs(parts, missing, exact, { ...run, access: request, registry }, task);
    return admitImage(parts, { subject, reference: subject, manifest, config, fetch }, task);
  });
}

/** The digest of the manifest for this machine where what was found is an index. */
function chooseManifest(found: Buffer, subject: string): string | undefined {
  const { mediaType, manifests } = parseJson(looseSchema, found, `the manifest of ${subject}`);
  const isIndex = mediaType ? indexTypes.includes(mediaType) : manifests !== undefined;
  if (!isIndex) return undefined;
  const index = parseJson(indexSchema, found, `the index of ${subject}`);
  return choosePlatform(index.manifests, subject).digest;
}

const indexTypes: readonly string[] = [mediaTypes.index, mediaTypes.dockerIndex];
const looseSchema = indexSchema.partial().extend({ manifests: indexSchema.shape.manifests.optional() });

function checkDigest(bytes: Buffer, expected: string | undefined, subject: string): void {
  const actual = sha256(bytes);
  if (expected === undefined || actual === expected) return;
  throw new StoreError(
    'invalid_image',
    `cannot pull ${subject}: what the registry calls ${expected} has the digest ${actual}`,
  );
}

/**
 * Lets skopeo copy the image to an OCI layout in the scratch directory. It leaves out blobs that it finds there, so
 * links stand for all that the store has or that nobody asked for.
 */
async function fetchBlobs(
  { layout }: StoreParts,
  missing: readonly Descriptor[],
  source: string,
  {
    access,
    registry,
    ...run
  }: SkopeoRun & { access: Parameters<typeof registryOptions>[1]; registry: string },
  { onEvent }: ImageTask,
): Promise<(digest: string) => string> {
  const shared = join(run.scratch, 'blobs');
  const target = join(run.scratch, 'layout');
  const blobs = join(shared, 'sha256');
  await mkdir(blobs, { recursive: true });
  await mkdir(target);
  const wanted = new Set(missing.map(({ digest }) => digest));
  for (const digest of (await layout.listBlobs()).keys()) {
    if (!wanted.has(digest)) await symlink(layout.blobPath(digest), join(blobs, digestHex(digest)));
  }
  const totalBytes = missing.reduce((sum, { size }) => sum + size, 0);
  onEvent({ type: 'step', step: 'download', subject: `${missing.length} layers` });
  const watch = setInterval(() => {
    sizeOfFiles([blobs, target]).then(
      (doneBytes) => onEvent({ type: 'progress', doneBytes: Math.min(doneBytes, totalBytes), totalBytes }),
      () => {},
    );
  }, progressIntervalMs);
  try {
    const options = await registryOptions(registry, access, run.scratch, 'src-');
    const places = ['--dest-oci-accept-uncompressed-layers', '--dest-shared-blob-dir', shared];
    await runSkopeo(
      ['copy', '--quiet', ...options, ...places, `docker://${source}`, `oci:${target}:image`],
      run,
    );
  } finally {
    clearInterval(watch);
  }
  onEvent({ type: 'progress', doneBytes: totalBytes, totalBytes });
  return (digest) => join(blobs, digestHex(digest));
}

/** Links count nothing: they stand for what was there before. */
async function sizeOfFiles(dirs: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const dir of dirs) {
    for (const name of await readdir(dir)) {
      const stats = await lstat(join(dir, name)).catch(() => undefined);
      if (stats?.isFile()) bytes += stats.size;
    }
  }
  return bytes;
}
