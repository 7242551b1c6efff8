import { sha256 } from '../../runtime/image/oci-layout.ts';
import { mediaTypes } from '../../runtime/image/oci-schemas.ts';
import type { LayerFile } from '../../runtime/image/packages/layer-tar.ts';
import { architecture } from '../../runtime/image/platform.ts';

export interface BaseImage {
  /** Lowest first, each with what made it. */
  layers: readonly { file: LayerFile; createdBy: string }[];
  command: readonly string[];
  labels: Record<string, string>;
}

/** No clock in it, or the digest would be another each time. */
const epoch = '1970-01-01T00:00:00Z';
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Manifest and configuration of a base image. The same parts give the same bytes. */
export function composeImage({ layers, command, labels }: BaseImage): {
  manifestJson: string;
  configJson: string;
} {
  const configJson = JSON.stringify({
    created: epoch,
    architecture,
    os: 'linux',
    config: {
      Env: [`PATH=${path}`, 'LANG=C.UTF-8'],
      Cmd: command,
      WorkingDir: '/work',
      Labels: Object.fromEntries(Object.entries(labels).sort()),
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ file }) => file.digest) },
    history: layers.map(({ createdBy }) => ({ created: epoch, created_by: createdBy })),
  });
  const manifestJson = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, digest: sha256(configJson), size: Buffer.byteLength(configJson) },
    layers: layers.map(({ file: { digest, size } }) => ({ mediaType: mediaTypes.layer, digest, size })),
  });
  return { manifestJson, configJson };
}
