import type { StoredImage } from '../../runtime/image/image.ts';
import { localRegistry, parseReference, repositoryOf } from '../../runtime/image/reference.ts';
import type { Store } from '../../runtime/image/store.ts';
import { StoreError } from '../../runtime/image/store-error.ts';
import type { ImageUser } from '../../runtime/image/users.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import type { Logger } from '../shared/logger.ts';

export type NodeImage = StoredImage & { searchPath: string };

/** The store's images as invocations ask for them: by digest, thousands of times a second. */
export interface NodeImages {
  /** By name, as the store knows it. */
  resolve(reference: string): Promise<NodeImage>;
  /**
   * By digest. An image that this node has not is pulled where the reference names a registry; else rejects and says
   * so.
   */
  ensure(image: { reference: string; digest: string }): Promise<NodeImage>;
  /** Undefined when it is not here. */
  find(digest: string): Promise<NodeImage | undefined>;
  /** A user of the image's; rejects when it has no such. */
  userOf(image: NodeImage, user: string): Promise<ImageUser>;
}

export function createNodeImages(
  store: Pick<Store, 'resolve' | 'pull' | 'userOf' | 'onChange'>,
  logger: Logger,
): NodeImages {
  const images = new Map<string, Promise<NodeImage>>();
  const users = new Map<string, Promise<ImageUser>>();
  // A digest's content never changes, but it can go.
  store.onChange(() => {
    images.clear();
    users.clear();
  });

  async function ensure({ reference, digest }: { reference: string; digest: string }): Promise<NodeImage> {
    try {
      return await cached(images, digest, () => store.resolve(digest).then(withSearchPath));
    } catch (error) {
      const source = registryReference({ reference, digest });
      if (!isNotFound(error)) throw error;
      if (source === undefined) {
        throw new Error(
          `image ${reference} (${digest}) is not on this node, and its name says no registry to pull it from`,
          { cause: error },
        );
      }
      return cached(images, `pull ${digest}`, async () => {
        logger.info({ reference: source }, 'pulling an image for an invocation');
        const { signal } = new AbortController();
        const pulled = await store.pull({ reference: source, insecure: false }, { onEvent() {}, signal });
        return withSearchPath(pulled);
      });
    }
  }

  return {
    ensure,
    resolve: async (reference) => withSearchPath(await store.resolve(reference)),
    find: (digest) =>
      cached(images, digest, () => store.resolve(digest).then(withSearchPath)).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }),
    userOf: (image, user) => cached(users, `${image.digest} ${user}`, () => store.userOf(image, user)),
  };
}

/** However many ask, it is done once; what failed is tried again by the next. */
function cached<Value>(
  cache: Map<string, Promise<Value>>,
  key: string,
  make: () => Promise<Value>,
): Promise<Value> {
  const existing = cache.get(key);
  if (existing) return existing;
  const value = make();
  cache.set(key, value);
  value.catch(() => {
    if (cache.get(key) === value) cache.delete(key);
  });
  return value;
}

function withSearchPath(image: StoredImage): NodeImage {
  const path = image.config.Env?.find((variable) => variable.startsWith('PATH='));
  return { ...image, searchPath: path?.slice('PATH='.length) || defaultSearchPath };
}

/** By which a node without the image can pull just that digest, or undefined where no registry is named. */
function registryReference({ reference, digest }: { reference: string; digest: string }): string | undefined {
  if (reference.startsWith('sha256:')) return undefined;
  const parsed = parseReference(reference);
  if (parsed.registry === undefined || parsed.registry === localRegistry) return undefined;
  return `${repositoryOf(parsed)}@${digest}`;
}

function isNotFound(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'image_not_found';
}
