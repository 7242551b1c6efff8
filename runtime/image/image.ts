import type { ImageConfig } from '../../sdk/contract/image.ts';

/** A resolved image: what a sandbox stacks and what the record shows. */
export interface Image {
  /** Digest of the OCI manifest, `sha256:…`. */
  digest: string;
  /** Hex digest (diffID without `sha256:`) of every layer, uppermost first: the names under `layers/`. */
  layers: readonly string[];
}

/** An image as the store knows it. */
export interface StoredImage extends Image {
  /** Full name, such as `localhost/node:latest`; null for a dangling image. */
  reference: string | null;
  config: ImageConfig;
  /** Bytes on disk of all layers, unpacked. */
  sizeBytes: number;
  /** The manifest and configuration, byte for byte: what their digests are of. */
  manifestJson: string;
  configJson: string;
}
