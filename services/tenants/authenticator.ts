import { timingSafeEqual } from 'node:crypto';
import { type AwsCredentials, keyIdSchema } from '../../sdk/contract/key.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import type { Redis } from '../shared/redis.ts';
import { hashApiKey, idOfApiKey } from './api-key.ts';
import { awsCredentialsOf } from './aws-credentials.ts';
import type { Identity } from './identity.ts';
import { type KeyStore, keyDeletedChannel, type StoredKey } from './key-store.ts';

/** A key that was deleted opens for so long at most, where the message of it got lost, milliseconds. */
const cachedMs = 3_000;
const cachedMax = 10_000;
/** In the place of a record that is not there: what is no key takes as long as what is a wrong one. */
const nobodysHash = Buffer.alloc(32);

export interface Authenticator {
  /** Whose key that is; undefined if it opens nothing: unknown, wrong, expired or deleted, which nobody is told apart. */
  identify(key: string): Promise<Identity | undefined>;
  /**
   * Who signs with these credentials, and with what; undefined if nobody may. The caller has shown nothing by that yet: it
   * is the signature that does.
   */
  signer(accessKeyId: string): Promise<{ identity: Identity; credentials: AwsCredentials } | undefined>;
  /** The key of this id is looked up anew. */
  forget(id: string): void;
  close(): Promise<void>;
}

interface Known {
  identity: Identity;
  hash: Buffer;
  /** Unix time, milliseconds. */
  expiresAtMs: number;
}

/**
 * Knows keys by their records on Redis, which it keeps for a few seconds: a request with a key that was used just now
 * costs no round trip. `adminKey` opens all, and is kept in no record.
 */
export async function openAuthenticator(options: {
  keys: Pick<KeyStore, 'find'>;
  /** A connection of this process that is used for subscriptions only. */
  subscriber: Redis;
  adminKey?: string | undefined;
}): Promise<Authenticator> {
  const { keys, subscriber, adminKey } = options;
  const admin = adminKey === undefined ? undefined : adminOf(adminKey);
  const cache = new Map<string, { known: Known; readAtMs: number }>();
  const reading = new Map<string, Promise<Known | undefined>>();
  /** Counts what was forgotten: what was being read meanwhile is not kept. */
  let forgotten = 0;

  function forget(id: string) {
    forgotten += 1;
    cache.delete(id);
    // Who asks from now on is not given what was read before.
    reading.delete(id);
  }

  async function read(id: string): Promise<Known | undefined> {
    const before = forgotten;
    const stored = await keys.find(id);
    if (!stored) return undefined;
    const known = knownOf(stored);
    if (before === forgotten) {
      cache.delete(id);
      cache.set(id, { known, readAtMs: performance.now() });
      for (const oldest of cache.keys()) {
        if (cache.size <= cachedMax) break;
        cache.delete(oldest);
      }
    }
    return known;
  }

  function find(id: string): Known | undefined | Promise<Known | undefined> {
    if (admin?.id === id) return admin.known;
    const cached = cache.get(id);
    if (cached && performance.now() - cached.readAtMs < cachedMs) return cached.known;
    const underWay = reading.get(id);
    if (underWay) return underWay;
    const started = read(id).finally(() => {
      if (reading.get(id) === started) reading.delete(id);
    });
    reading.set(id, started);
    return started;
  }

  function receive(channel: string, id: string) {
    if (channel === keyDeletedChannel) forget(id);
  }
  /** What was deleted while we did not listen, nobody told us. */
  function forgetAll() {
    forgotten += 1;
    cache.clear();
  }
  subscriber.on('message', receive);
  subscriber.on('ready', forgetAll);
  await subscriber.subscribe(keyDeletedChannel);

  return {
    async identify(key) {
      const id = idOfApiKey(key);
      if (id === undefined) return undefined;
      const hash = hashApiKey(key);
      const known = await find(id);
      const isRight = timingSafeEqual(hash, known?.hash ?? nobodysHash);
      return isRight && known && Date.now() < known.expiresAtMs ? known.identity : undefined;
    },
    async signer(accessKeyId) {
      if (adminKey === undefined || !keyIdSchema.safeParse(accessKeyId).success) return undefined;
      const known = await find(accessKeyId);
      if (!known || Date.now() >= known.expiresAtMs) return undefined;
      return { identity: known.identity, credentials: awsCredentialsOf(adminKey, accessKeyId) };
    },
    forget,
    async close() {
      subscriber.off('message', receive);
      subscriber.off('ready', forgetAll);
      await subscriber.unsubscribe(keyDeletedChannel);
    },
  };
}

function knownOf({ id, tenant, scopes, expiresAt, sha256 }: StoredKey): Known {
  return {
    identity: { tenant, scopes: new Set(scopes), keyId: id },
    hash: Buffer.from(sha256, 'hex'),
    expiresAtMs: expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
  };
}

function adminOf(key: string): { id: string; known: Known } {
  const id = idOfApiKey(key);
  if (id === undefined) throw new Error('cannot use the admin key: it is not of the form ocb_<id>_<secret>');
  const identity: Identity = { tenant: defaultTenant, scopes: new Set(['admin']), keyId: id };
  return { id, known: { identity, hash: hashApiKey(key), expiresAtMs: Number.POSITIVE_INFINITY } };
}
