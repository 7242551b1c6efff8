import { createReadStream, createWriteStream } from 'node:fs';
import { open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { admitImage } from './admit.ts';
import { extractLayout } from './extract-layout.ts';
import type { StoredImage } from './image.ts';
import { digestHex, sha256 } from './oci-layout.ts';
import {
  type Descriptor,
  indexSchema,
  manifestSchema,
  mediaTypes,
  parseJson,
  referenceAnnotation,
} from './oci-schemas.ts';
import { choosePlatform } from './platform.ts';
import { localName, parseReference, pullName } from './reference.ts';
import type { ImageTask } from './shared-task.ts';
import { runSkopeo } from './skopeo.ts';
import { StoreError } from './store-error.ts';
import { asWriter, type StoreParts } from './store-parts.ts';

const progressIntervalBytes = 4 * 1024 * 1024;
const maxImages = 64;

/** An image in an unpacked OCI layout. */
interface Found {
  /** Full names; none where the archive says none. */
  names: readonly string[];
  manifest: Descriptor;
}

/**
 * Takes in what `docker save` writes, or a tar of an OCI layout; gzipped or not. Of several images all, or the one that
 * `wanted` names; of one, `wanted` is the name it gets. Resolves with the (first) image. Rejects with StoreError
 * `invalid_image` for anything else, and the store is then as it was but for blobs that nothing refers to.
 */
export async function importArchive(
  parts: StoreParts,
  archive: Readable,
  wanted: string | undefined,
  task: ImageTask,
): Promise<StoredImage> {
  const name = wanted === undefined ? undefined : localName(wanted);
  return asWriter(parts, 'import an archive', async (scratch) => {
    const spooled = join(scratch, 'archive');
    await spool(archive, spooled, task);
    task.onEvent({ type: 'step', step: 'verify', subject: 'archive' });
    const file = await decompressed(spooled, task.signal);
    const layout = join(scratch, 'layout');
    await extractLayout(file, layout).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOSPC') throw error;
      throw invalid(`it is no tar, or a damaged or truncated one (${error.message})`);
    });
    const found = (await isFile(join(layout, 'index.json')))
      ? await readLayout(layout)
      : await convertDockerArchive(file, layout, scratch, task.signal);

    let first: StoredImage | undefined;
    for (const { names, manifest } of chooseImages(found, name)) {
      for (const reference of names.length > 0 ? names : [null]) {
        const image = await admit(parts, layout, manifest, reference, task);
        first ??= image;
      }
    }
    if (!first) throw invalid('it holds no image');
    return first;
  });
}

async function spool(archive: Readable, file: string, { onEvent, signal }: ImageTask): Promise<void> {
  onEvent({ type: 'step', step: 'upload', subject: 'archive' });
  let doneBytes = 0;
  let toldBytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      doneBytes += chunk.length;
      if (doneBytes - toldBytes >= progressIntervalBytes) {
        toldBytes = doneBytes;
        onEvent({ type: 'progress', doneBytes, totalBytes: null });
      }
      done(null, chunk);
    },
  });
  await pipeline(archive, count, createWriteStream(file, { mode: 0o600 }), { signal });
  onEvent({ type: 'progress', doneBytes, totalBytes: doneBytes });
}

async function readLayout(layout: string): Promise<Found[]> {
  const { manifests } = parseJson(
    indexSchema,
    await readFile(join(layout, 'index.json')),
    'index.json of the archive',
  );
  const found: Found[] = [];
  for (const descriptor of manifests.slice(0, maxImages)) {
    found.push({ names: namesOf(descriptor), manifest: await manifestOf(layout, descriptor) });
  }
  return found;
}

async function manifestOf(layout: string, descriptor: Descriptor): Promise<Descriptor> {
  if (descriptor.mediaType !== mediaTypes.index && descriptor.mediaType !== mediaTypes.dockerIndex)
    return descriptor;
  const index = parseJson(indexSchema, await readBlob(layout, descriptor.digest), 'the index in the archive');
  return choosePlatform(index.manifests, 'the archive');
}

/** containerd, and so Docker, puts the full name elsewhere: in its layouts the annotation is only the tag. */
function namesOf({ annotations }: Descriptor): string[] {
  const full = annotations?.['io.containerd.image.name'];
  const name = full ?? annotations?.[referenceAnnotation];
  if (!name) return [];
  try {
    return [full === undefined ? localName(name) : pullName(parseReference(name))];
  } catch {
    // Not every tool writes names there.
    return [];
  }
}

const dockerManifestSchema = z.array(z.object({ RepoTags: z.array(z.string()).nullish() })).max(maxImages);

/** `docker save` before version 25, and podman: an archive of their own, which skopeo makes a layout. */
async function convertDockerArchive(
  file: string,
  layout: string,
  scratch: string,
  signal: AbortSignal,
): Promise<Found[]> {
  const text = await readFile(join(layout, 'manifest.json')).catch(() => undefined);
  if (!text) throw invalid('it has neither an index.json (OCI layout) nor a manifest.json (docker save)');
  const images = parseJson(dockerManifestSchema, text, 'manifest.json of the archive');
  const found: Found[] = [];
  for (const [index, { RepoTags }] of images.entries()) {
    const one = join(scratch, `image-${index}`);
    const places = ['--dest-shared-blob-dir', join(layout, 'blobs')];
    await runSkopeo(['copy', '--quiet', ...places, `docker-archive:${file}:@${index}`, `oci:${one}:image`], {
      scratch,
      signal,
      doing: 'import the archive',
      isLocal: true,
    });
    const { manifests } = parseJson(indexSchema, await readFile(join(one, 'index.json')), 'the archive');
    if (!manifests[0]) throw invalid('it holds no image');
    const names = (RepoTags ?? []).map((tag) => pullName(parseReference(tag)));
    found.push({ names, manifest: manifests[0] });
  }
  return found;
}

/** What a gzipped archive may unpack to for each byte that came, and what any may: beyond this it is a bomb. */
const unpackedFactor = 50;
const unpackedMinBytes = 256 * 1024 ** 2;
const unpackedMaxBytes = 64 * 1024 ** 3;

/**
 * The archive without its gzip, once and here: who reads on would unpack without a bound. Skopeo 1.9 fails on a gzipped
 * archive of docker save besides ("unexpected EOF"), though its manual promises to read it.
 */
async function decompressed(file: string, signal: AbortSignal): Promise<string> {
  if (!(await isGzip(file))) return file;
  const { size } = await stat(file);
  const maxBytes = Math.min(Math.max(size * unpackedFactor, unpackedMinBytes), unpackedMaxBytes);
  let bytes = 0;
  const bound = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) done(invalid(`it unpacks to more than ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
  const plain = `${file}.tar`;
  const streams = [createReadStream(file), createGunzip(), bound] as const;
  await pipeline(...streams, createWriteStream(plain, { mode: 0o600 }), { signal }).catch((error) => {
    if (!/^Z_/.test(error.code ?? '')) throw error;
    throw invalid(`it is no tar, or a damaged or truncated one (${error.message})`);
  });
  if (await isGzip(plain)) throw invalid('it is gzipped twice');
  await rm(file);
  return plain;
}

async function isGzip(file: string): Promise<boolean> {
  const start = Buffer.alloc(2);
  const handle = await open(file, 'r');
  await handle.read(start, 0, 2, 0).finally(() => handle.close());
  return start[0] === 0x1f && start[1] === 0x8b;
}

function chooseImages(found: readonly Found[], name: string | undefined): readonly Found[] {
  if (name === undefined) return found;
  const [only] = found;
  if (found.length === 1 && only) return [{ ...only, names: [name] }];
  const named = found.find(({ names }) => names.some((one) => one === name || sameButHub(one, name)));
  if (named) return [{ ...named, names: [name] }];
  const names = found.flatMap((one) => one.names).join(', ') || 'none of them has a name';
  throw new StoreError(
    'invalid_request',
    `the archive holds several images, and none is "${name}": ${names}`,
  );
}

/** `docker save alpine` writes `alpine:latest`, and who asks for `alpine` asked for `localhost/alpine:latest`. */
function sameButHub(found: string, wanted: string): boolean {
  return found.replace(/^docker\.io\/(library\/)?/, 'localhost/') === wanted;
}

async function admit(
  parts: StoreParts,
  layout: string,
  { digest }: Descriptor,
  reference: string | null,
  task: ImageTask,
): Promise<StoredImage> {
  const subject = reference ?? digest;
  const bytes = await readBlob(layout, digest);
  const manifest = parseJson(manifestSchema, bytes, `the manifest of ${subject}`);
  const config = await readBlob(layout, manifest.config.digest);
  const fileOf = (wanted: string) => join(layout, 'blobs', 'sha256', digestHex(wanted));
  return admitImage(parts, { subject, reference, manifest: bytes, config, fetch: async () => fileOf }, task);
}

async function readBlob(layout: string, digest: string): Promise<Buffer> {
  const path = join(layout, 'blobs', 'sha256', digestHex(digest));
  const { size } = await stat(path).catch(() => ({ size: undefined }));
  if (size === undefined) throw invalid(`blob ${digest} is missing`);
  if (size > 16 * 1024 * 1024) throw invalid(`blob ${digest} is too large for a manifest`);
  const bytes = await readFile(path);
  const actual = sha256(bytes);
  if (actual !== digest) throw invalid(`blob ${digest} is damaged: it has the digest ${actual}`);
  return bytes;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}

function invalid(reason: string): StoreError {
  return new StoreError('invalid_image', `cannot import the archive: ${reason}`);
}
