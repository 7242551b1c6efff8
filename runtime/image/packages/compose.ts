import type { StoredImage } from '../image.ts';
import { sha256 } from '../oci-layout.ts';
import { configSchema, manifestSchema, mediaTypes, parseJson } from '../oci-schemas.ts';
import type { LayerFile } from './layer-tar.ts';

/** No clock in it, or the digest would be another each time. */
const epoch = '1970-01-01T00:00:00Z';

export interface ImageTexts {
  manifestJson: string;
  configJson: string;
}

/** An image with one more layer. */
export function withLayer(image: StoredImage, layer: LayerFile, createdBy: string): ImageTexts {
  const { digest, size } = layer;
  const layers = [...layersOf(image), { mediaType: mediaTypes.layer, digest, size }];
  const config = JSON.parse(image.configJson);
  const { rootfs } = parseJson(configSchema, image.configJson, `configuration of ${image.digest}`);
  return textsOf(layers, {
    ...config,
    rootfs: { type: 'layers', diff_ids: [...rootfs.diff_ids, digest] },
    history: [...(config.history ?? []), { created: epoch, created_by: createdBy }],
  });
}

/** The same image with these labels, whatever else it says of itself. */
export function withLabels(image: StoredImage, labels: Record<string, string>): ImageTexts {
  const config = JSON.parse(image.configJson);
  const all = { ...config.config?.Labels, ...labels };
  const Labels = Object.fromEntries(Object.entries(all).sort());
  return textsOf(layersOf(image), { ...config, config: { ...config.config, Labels } });
}

function layersOf({ manifestJson, digest }: StoredImage) {
  const { layers } = parseJson(manifestSchema, manifestJson, `manifest ${digest}`);
  return layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
}

function textsOf(layers: readonly object[], config: object): ImageTexts {
  const configJson = JSON.stringify(config);
  const size = Buffer.byteLength(configJson);
  const manifestJson = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, digest: sha256(configJson), size },
    layers,
  });
  return { manifestJson, configJson };
}
