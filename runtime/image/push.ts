import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import type { pushRequestSchema } from '../../sdk/contract/image.ts';
import type { StoredImage } from './image.ts';
import { mediaTypes } from './oci-schemas.ts';
import { parseReference, pullName, repositoryOf } from './reference.ts';
import type { ImageTask } from './shared-task.ts';
import { registryOptions, runSkopeo } from './skopeo.ts';
import { StoreError } from './store-error.ts';
import { asWriter, type StoreParts } from './store-parts.ts';

/** Pushes an image as it is: the registry has it under the digest that it has here. */
export async function pushImage(
  parts: StoreParts,
  request: z.output<typeof pushRequestSchema>,
  { onEvent, signal }: ImageTask,
): Promise<StoredImage> {
  const target = parseReference(request.target);
  if (target.registry === undefined) {
    throw new StoreError(
      'invalid_request',
      `cannot push to "${request.target}": it names no registry; write "docker.io/…" for Docker Hub`,
    );
  }
  if (target.digest !== undefined) {
    throw new StoreError('invalid_request', `cannot push to "${request.target}": give a tag, not a digest`);
  }
  const doing = `push to ${pullName(target)}`;
  return asWriter(parts, doing, async (scratch) => {
    const { image, texts, digest } = await parts.catalogue.get(request.source);
    const { manifest } = texts;
    const letGo = parts.held.hold([
      digest,
      manifest.config.digest,
      ...manifest.layers.map((layer) => layer.digest),
    ]);
    try {
      // A layout that has just this image; its blobs are the store's.
      const layout = join(scratch, 'layout');
      await mkdir(layout);
      const mediaType = manifest.mediaType ?? mediaTypes.manifest;
      const size = Buffer.byteLength(texts.manifestJson);
      const index = { schemaVersion: 2, manifests: [{ mediaType, digest, size }] };
      await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
      await writeFile(join(layout, 'index.json'), JSON.stringify(index));

      const totalBytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
      onEvent({ type: 'step', step: 'push', subject: pullName(target) });
      let doneBytes = 0;
      const onLine = (line: string) => {
        // All that it tells when nobody looks at a terminal: which blob it has begun.
        const begun = /^Copying blob (?:sha256:)?([a-f0-9]{12,64})/.exec(line)?.[1];
        if (!begun) return;
        onEvent({ type: 'progress', doneBytes, totalBytes });
        doneBytes += manifest.layers.find((layer) => layer.digest.includes(begun))?.size ?? 0;
      };
      const registry = repositoryOf(target).split('/')[0] as string;
      const options = await registryOptions(registry, request, scratch, 'dest-');
      const exact = ['--preserve-digests', '--src-shared-blob-dir', parts.layout.sharedBlobDir];
      const places = [`oci:${layout}`, `docker://${pullName(target)}`];
      await runSkopeo(['copy', ...options, ...exact, ...places], { scratch, signal, doing, onLine });
      onEvent({ type: 'progress', doneBytes: totalBytes, totalBytes });
      return image;
    } finally {
      letGo();
    }
  });
}
