import { createHash } from 'node:crypto';
import type { ImageConfig } from '../../sdk/contract/image.ts';
import {
  type AnnouncedImage,
  announceImages,
  type ImageAnnouncer,
} from '../../services/queue/image-catalogue.ts';
import type { Redis } from '../../services/shared/redis.ts';

const layer = 'a'.repeat(64);

/** An image of one layer that is nowhere: for tests of what is made of manifests and configurations. */
export function describedImage(
  reference: string,
  config: ImageConfig = {},
): AnnouncedImage & { reference: string } {
  const configJson = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
  });
  const manifestJson = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(configJson),
      size: configJson.length,
    },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${layer}`, size: 1024 }],
  });
  return { reference, digest: digestOf(manifestJson), manifestJson, configJson };
}

/** The base images that every node has. */
export const baseImages = ['node', 'python', 'bash'].map((name) =>
  describedImage(`localhost/${name}:latest`, { Labels: { name } }),
);
export const [nodeImage] = baseImages as [AnnouncedImage];

/** A node that says that it has these. */
export function announce(
  redis: Redis,
  images: readonly AnnouncedImage[],
  node = 'test-node',
): Promise<ImageAnnouncer> {
  return announceImages({
    redis,
    node,
    list: async () => images,
    onError: (error) => {
      throw error;
    },
  });
}

export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
