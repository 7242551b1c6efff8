import { createHash } from 'node:crypto';
import type { ImageConfig } from '../../../sdk/contract/image.ts';
import { type TarEntry, tarOf } from './tar-of.ts';

/** A tar of an OCI layout with an image of one layer, whatever its entries say. */
export function ociArchiveOf(
  layer: readonly TarEntry[],
  reference: string,
  config: ImageConfig = {},
): Uint8Array<ArrayBuffer> {
  const blobs: TarEntry[] = [];
  const add = (content: Buffer | object) => {
    const data = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const hex = createHash('sha256').update(data).digest('hex');
    blobs.push({ path: `blobs/sha256/${hex}`, data });
    return { digest: `sha256:${hex}`, size: data.length };
  };
  const media = (name: string) => `application/vnd.oci.image.${name}`;
  const tar = add(tarOf(layer));
  const configuration = add({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: [tar.digest] },
  });
  const manifest = add({
    schemaVersion: 2,
    mediaType: media('manifest.v1+json'),
    config: { mediaType: media('config.v1+json'), ...configuration },
    layers: [{ mediaType: media('layer.v1.tar'), ...tar }],
  });
  const annotations = { 'org.opencontainers.image.ref.name': reference };
  const index = {
    schemaVersion: 2,
    manifests: [{ mediaType: media('manifest.v1+json'), ...manifest, annotations }],
  };
  const archive = tarOf([
    { path: 'oci-layout', data: '{"imageLayoutVersion":"1.0.0"}' },
    { path: 'index.json', data: JSON.stringify(index) },
    ...blobs,
  ]);
  return new Uint8Array(archive);
}
