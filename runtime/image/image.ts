/** A resolved image: what a sandbox stacks and what the record shows. */
export interface Image {
  /** Digest of the OCI manifest, `sha256:…`. */
  digest: string;
  /** Hex digest (diffID without `sha256:`) of every layer, uppermost first: the names under `layers/`. */
  layers: readonly string[];
}
