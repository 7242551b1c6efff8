import type { Redis } from '../shared/redis.ts';
import { type Authenticator, openAuthenticator } from './authenticator.ts';
import { createKeyStore, type KeyStore } from './key-store.ts';

/** Who may call, and whose things are whose. */
export interface Tenancy {
  readonly keys: KeyStore;
  /** Undefined: the platform asks for no keys. */
  readonly authenticator: Authenticator | undefined;
  close(): Promise<void>;
}

export interface TenancyOptions {
  redis: Redis;
  /** A connection of this process that is used for subscriptions only. */
  subscriber: Redis;
  needsKeys: boolean;
  /** Empty: there is none. */
  adminKey: string;
}

export async function openTenancy(options: TenancyOptions): Promise<Tenancy> {
  const { redis, subscriber, needsKeys, adminKey } = options;
  const keys = createKeyStore(redis);
  const authenticator = needsKeys
    ? await openAuthenticator({ keys, subscriber, adminKey: adminKey === '' ? undefined : adminKey })
    : undefined;
  return {
    keys: {
      ...keys,
      async delete(id) {
        await keys.delete(id);
        // Here it opens nothing before the reply is sent; the others hear of it.
        authenticator?.forget(id);
      },
    },
    authenticator,
    async close() {
      await authenticator?.close();
    },
  };
}
