import type { Readable } from 'node:stream';

/**
 * Puts layers on disk and takes them away. The archive is read in a confined process whose root is the layer's
 * directory (runtime/native/unpack.c); the bytes are hashed here, outside of it.
 */
export interface LayerUnpacker {
  /**
   * Unpacks an uncompressed layer tar and resolves with the directory's name under `layers/`. Rejects, leaving nothing,
   * when the bytes do not hash to `diffId`, the archive is malformed or forbidden, a cap is passed, or the disk is full.
   */
  unpack(request: UnpackRequest, tar: Readable): Promise<UnpackedLayer>;
  /** Removes a layer's directory and all in it. Resolves also when there is none. */
  remove(name: string): Promise<void>;
}

export interface UnpackRequest {
  /** Hex. */
  diffId: string;
  /**
   * Directory names of the layers below, uppermost first. They are asked only about parent directories and hard-link
   * targets that the archive takes for granted.
   */
  lowers: readonly string[];
  /** Told of bytes read from `tar`, a few times a second at most. */
  onProgress?: (doneBytes: number) => void;
  signal?: AbortSignal;
}

export interface UnpackedLayer {
  /** The diffID in hex; where the content depends on `lowers`, a digest of the whole chain. */
  name: string;
  /** Bytes that its files take on disk. */
  diskBytes: number;
  entries: number;
  /** Device nodes and the like, left out: paths, at most 100. */
  skipped: readonly string[];
}
