import { z } from 'zod';
import { imageConfigSchema } from '../../sdk/contract/image.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { wantedImage } from './image-names.ts';
import { heartbeatMs, nodeTtlMs } from './node-directory.ts';

/*
 * Which images the nodes have, for gateways, which may be on machines without a store.
 *   oncebox:image-nodes       set of the nodes that have announced images
 *   oncebox:images:<node>     hash: reference → digest, and digest → digest; expires with the node
 *   oncebox:image:<digest>    {manifestJson, configJson}; expires when no node has it any more
 */

const imageNodesKey = 'oncebox:image-nodes';
const imagesKey = (node: string) => `oncebox:images:${node}`;
const imageKey = (digest: string) => `oncebox:image:${digest}`;
const imageTtlMs = 3_600_000;
const imagesCached = 500;

const imageTextsSchema = z.object({ manifestJson: z.string(), configJson: z.string() });
const configSchema = z.object({ config: imageConfigSchema.nullish() });

export interface AnnouncedImage {
  reference: string | null;
  digest: string;
  manifestJson: string;
  configJson: string;
}

export interface ImageAnnouncer {
  /** To be called when the images have changed; resolves when gateways see it. */
  update(): Promise<void>;
  leave(): Promise<void>;
}

/** The worker's side. Resolves when the images can be found. */
export async function announceImages(options: {
  redis: Redis;
  node: string;
  list: () => Promise<readonly AnnouncedImage[]>;
  onError: (error: unknown) => void;
}): Promise<ImageAnnouncer> {
  const { redis, node, list, onError } = options;
  let announcedAt = 0;

  async function announce() {
    const images = await list();
    const digests = images.flatMap(({ reference, digest }) => [
      ...[digest, digest],
      ...(reference === null ? [] : [reference, digest]),
    ]);
    const commands = redis.multi().sadd(imageNodesKey, node).del(imagesKey(node));
    if (digests.length > 0) commands.hset(imagesKey(node), ...digests).pexpire(imagesKey(node), nodeTtlMs);
    for (const { digest, manifestJson, configJson } of images)
      commands.set(imageKey(digest), JSON.stringify({ manifestJson, configJson }), 'PX', imageTtlMs);
    await commands.exec();
    announcedAt = performance.now();
  }

  async function beat() {
    // Nothing to keep alive: it expired while we stood still, or Redis lost it. Long before the images expire, too.
    const isKept = await redis.pexpire(imagesKey(node), nodeTtlMs);
    if (isKept === 0 || performance.now() - announcedAt > imageTtlMs / 4) await announce();
  }

  /** One after another: the last change is what is announced last. */
  let work: Promise<void> = Promise.resolve();
  const queued = (task: () => Promise<void>) => {
    work = work.then(task).catch(onError);
    return work;
  };
  await announce();
  const heartbeat = setInterval(() => queued(beat), heartbeatMs);

  return {
    update: () => queued(announce),
    async leave() {
      clearInterval(heartbeat);
      await work;
      await redis.multi().srem(imageNodesKey, node).del(imagesKey(node)).exec();
    },
  };
}

/** An image that some node has. */
export interface CataloguedImage {
  /** As the node calls it, or as it was asked for by digest. */
  reference: string;
  digest: string;
  manifestJson: string;
  configJson: string;
  config: z.infer<typeof imageConfigSchema>;
}

/** The gateway's side. */
export interface ImageCatalogue {
  /** Throws PlatformError `image_not_found`, or `unavailable` when no node has announced any. */
  resolve(reference: string): Promise<CataloguedImage>;
}

export function createImageCatalogue(redis: Redis): ImageCatalogue {
  /** A digest's content never changes. */
  const cache = new Map<string, Omit<CataloguedImage, 'reference'>>();

  async function read(digest: string): Promise<Omit<CataloguedImage, 'reference'> | undefined> {
    const cached = cache.get(digest);
    if (cached) return cached;
    const text = await redis.get(imageKey(digest));
    if (text === null) return undefined;
    const texts = imageTextsSchema.parse(JSON.parse(text));
    const image = { digest, ...texts, config: configSchema.parse(JSON.parse(texts.configJson)).config ?? {} };
    if (cache.size >= imagesCached) cache.delete(cache.keys().next().value as string);
    cache.set(digest, image);
    return image;
  }

  /** The first of the names that any node has, as [name, digest]. */
  async function find(names: readonly string[]): Promise<[string, string] | undefined> {
    const nodes = (await redis.smembers(imageNodesKey)).sort();
    if (nodes.length === 0)
      throw new PlatformError('unavailable', 'no node has said which images it has', { field: 'image' });
    const pipeline = redis.pipeline();
    for (const node of nodes) pipeline.exists(imagesKey(node)).hmget(imagesKey(node), ...names);
    const replies = ((await pipeline.exec()) ?? []).map(([error, reply]) => {
      if (error) throw error;
      return reply;
    });
    const gone = nodes.filter((_, index) => replies[2 * index] === 0);
    if (gone.length > 0) await redis.srem(imageNodesKey, ...gone);
    if (gone.length === nodes.length)
      throw new PlatformError('unavailable', 'no node has said which images it has', { field: 'image' });
    for (const [at, name] of names.entries()) {
      for (const index of nodes.keys()) {
        const digest = (replies[2 * index + 1] as (string | null)[])[at];
        if (digest != null) return [name, digest];
      }
    }
    return undefined;
  }

  return {
    async resolve(reference) {
      const { names, digest } = wantedImage(reference);
      const found = await find(digest === undefined ? names : [...names, digest]);
      const image = found && (await read(found[1]));
      if (!image) throw notFound(reference);
      return { ...image, reference: names.includes(found[0]) ? found[0] : reference };
    },
  };
}

function notFound(reference: string): PlatformError {
  return new PlatformError(
    'image_not_found',
    `no node has the image "${reference}": pull it with POST /v1/images, or import or build it`,
    { field: 'image' },
  );
}
