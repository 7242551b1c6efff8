import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { admitImage } from './admit.ts';
import type { StoredImage } from './image.ts';
import { digestHex, sha256 } from './oci-layout.ts';
import { localName } from './reference.ts';
import { asWriter, type StoreParts } from './store-parts.ts';

export interface ImageSource {
  manifestJson: string;
  configJson: string;
  /**
   * By digest: its bytes, or the path of a file on the store's filesystem, which is moved away. What is not given must
   * be in the store.
   */
  blobs: ReadonlyMap<string, Uint8Array | string>;
  reference?: string | undefined;
}

/** Puts an image together from parts that are there or given. StoreError `invalid_image` where one is neither. */
export function addImage(parts: StoreParts, source: ImageSource): Promise<StoredImage> {
  const manifest = Buffer.from(source.manifestJson);
  const reference = source.reference === undefined ? null : localName(source.reference);
  const subject = reference ?? sha256(manifest);
  return asWriter(parts, `add image ${subject}`, async (scratch) => {
    const fileOf = (digest: string) => {
      const given = source.blobs.get(digest);
      return typeof given === 'string' ? given : join(scratch, digestHex(digest));
    };
    const incoming = {
      subject,
      reference,
      manifest,
      config: Buffer.from(source.configJson),
      fetch: async () => {
        for (const [digest, bytes] of source.blobs) {
          if (typeof bytes !== 'string') await writeFile(fileOf(digest), bytes);
        }
        return fileOf;
      },
    };
    return admitImage(parts, incoming, { onEvent() {}, signal: new AbortController().signal });
  });
}
