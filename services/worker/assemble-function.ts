import type { StoredImage } from '../../runtime/image/image.ts';
import type { Store } from '../../runtime/image/store.ts';
import { fetchCodeLayer } from '../registry/layer-store.ts';
import type { Registry } from '../registry/registry.ts';
import type { Redis } from '../shared/redis.ts';
import type { NodeImages } from './node-images.ts';

/** Puts a function's version together in the store: the image below it, and its code and texts from Redis. */
export function createFunctionAssembler(options: {
  registry: Pick<Registry, 'imageOf'>;
  redis: Redis;
  store: Pick<Store, 'addImage'>;
  images: Pick<NodeImages, 'ensure'>;
}): (name: string, version: number | undefined, tenant: string) => Promise<StoredImage> {
  const { registry, redis, store, images } = options;
  return async (name, version, tenant) => {
    const { manifestJson, configJson, base, codeLayer } = await registry.imageOf(name, version, tenant);
    const image = await images.ensure(base);
    if (codeLayer === undefined) return image;
    const blobs = new Map([[`sha256:${codeLayer}`, await fetchCodeLayer(redis, codeLayer)]]);
    return store.addImage({ manifestJson, configJson, blobs });
  };
}
