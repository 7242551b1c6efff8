import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { sha256 } from '../../runtime/image/oci-layout.ts';
import { type Descriptor, mediaTypes } from '../../runtime/image/oci-schemas.ts';
import { architecture as ours } from '../../runtime/image/platform.ts';
import type { ImageTask } from '../../runtime/image/shared-task.ts';
import type { ImageConfig, ImageEvent } from '../../sdk/contract/image.ts';
import { makeTar, type TarEntry } from './make-tar.ts';

export const run = promisify(execFile);

export interface MadeLayer {
  tar: Uint8Array;
  /** As it travels. */
  blob: Uint8Array;
  mediaType: string;
}

export interface MadeImage {
  manifest: Buffer;
  config: Buffer;
  digest: string;
  descriptor: Descriptor;
  /** By digest: all of the above and the layers. */
  blobs: Map<string, Uint8Array>;
  diffIds: string[];
}

export function makeLayer(entries: readonly TarEntry[], compression: 'gzip' | 'none' = 'gzip'): MadeLayer {
  const tar = makeTar(entries);
  if (compression === 'none') return { tar, blob: tar, mediaType: mediaTypes.layer };
  return { tar, blob: gzipSync(tar), mediaType: `${mediaTypes.layer}+gzip` };
}

interface ImageParts {
  config?: ImageConfig;
  architecture?: string;
  created?: string;
  history?: object[];
  /** Docker's media types instead of OCI's. */
  docker?: boolean;
}

export function makeImage(layers: readonly MadeLayer[], parts: ImageParts = {}): MadeImage {
  const { config: imageConfig = {}, architecture = ours, docker = false, ...more } = parts;
  const diffIds = layers.map(({ tar }) => sha256(tar));
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      ...more,
      config: imageConfig,
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  );
  const mediaType = docker ? mediaTypes.dockerManifest : mediaTypes.manifest;
  const manifest = Buffer.from(
    // Blanks that no program would write: whoever reserializes it changes its digest.
    JSON.stringify(
      {
        schemaVersion: 2,
        mediaType,
        config: {
          mediaType: docker ? 'application/vnd.docker.container.image.v1+json' : mediaTypes.config,
          digest: sha256(config),
          size: config.length,
        },
        layers: layers.map((layer) => ({
          mediaType: docker ? 'application/vnd.docker.image.rootfs.diff.tar.gzip' : layer.mediaType,
          digest: sha256(layer.blob),
          size: layer.blob.length,
        })),
      },
      null,
      5,
    ),
  );
  const digest = sha256(manifest);
  const descriptor = { mediaType, digest, size: manifest.length, platform: { os: 'linux', architecture } };
  const blobs = new Map<string, Uint8Array>(layers.map(({ blob }) => [sha256(blob), blob]));
  blobs.set(sha256(config), config).set(digest, manifest);
  return { manifest, config, digest, descriptor, blobs, diffIds };
}

/** Writes an OCI layout with these images, each under its name. */
export async function writeLayout(dir: string, images: Record<string, MadeImage>): Promise<void> {
  const blobDir = join(dir, 'blobs/sha256');
  await mkdir(blobDir, { recursive: true });
  for (const { blobs } of Object.values(images)) {
    for (const [digest, bytes] of blobs) await writeFile(join(blobDir, digest.slice(7)), bytes);
  }
  const manifests = Object.entries(images).map(([name, { descriptor }]) => ({
    ...descriptor,
    ...(name !== '' && { annotations: { 'org.opencontainers.image.ref.name': name } }),
  }));
  await writeFile(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}

/** Puts an image or an index into a registry by its HTTP API, byte for byte. */
export async function putManifest(
  host: string,
  name: string,
  tag: string,
  bytes: Uint8Array,
  mediaType: string,
): Promise<void> {
  const reply = await fetch(`http://${host}/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: new Uint8Array(bytes),
  });
  if (!reply.ok) throw new Error(`${reply.status} ${await reply.text()}`);
}

export async function putImage(host: string, name: string, tag: string, image: MadeImage): Promise<void> {
  for (const [digest, bytes] of image.blobs) {
    if (digest === image.digest) continue;
    const begun = await fetch(`http://${host}/v2/${name}/blobs/uploads/`, { method: 'POST' });
    const url = new URL(begun.headers.get('location') ?? '', `http://${host}`);
    url.searchParams.set('digest', digest);
    const reply = await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) });
    if (!reply.ok) throw new Error(`${reply.status} ${await reply.text()}`);
  }
  await putManifest(host, name, tag, image.manifest, image.descriptor.mediaType);
}

/** A task that nobody aborts unless told to, and the events it told of. */
export function useTask(): ImageTask & { events: ImageEvent[]; abort: (reason?: unknown) => void } {
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const events: ImageEvent[] = [];
  return {
    events,
    onEvent: (event) => void events.push(event),
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
  };
}
