import { defaultTenant, type Quotas, quotasSchema, type Tenant } from '../../sdk/contract/tenant.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * Which tenants there are, and their quotas.
 *   oncebox:tenants           hash: name → JSON of its quotas
 *   oncebox:tenants-changed   channel: to be read anew
 */
const tenantsKey = 'oncebox:tenants';
const changedChannel = 'oncebox:tenants-changed';
/** Where a message of a change got lost. */
const readEveryMs = 5_000;
const unlimited: Quotas = {};

export interface TenantBook {
  /** As this process knows them, which is within seconds of what they are: never asks anybody. */
  quotasOf(tenant: string): Quotas;
  /** Whether there is another tenant than the default one; as quick. */
  isShared(): boolean;
  /** In force here when it resolves, and elsewhere as soon as they hear of it. */
  put(tenant: Tenant): Promise<void>;
  /** A tenant that is named for the first time has no quotas. */
  ensure(name: string): Promise<void>;
  /** The default tenant is always there. */
  get(name: string): Promise<Tenant | undefined>;
  /** Sorted by name. */
  list(): Promise<Tenant[]>;
  close(): Promise<void>;
}

/** All tenants are held in memory, so that a request's quotas cost no round trip. */
export async function openTenantBook(options: {
  redis: Redis;
  /** A connection of this process that is used for subscriptions only. */
  subscriber: Redis;
  onError: (error: unknown) => void;
}): Promise<TenantBook> {
  const { redis, subscriber, onError } = options;
  let known = new Map<string, Quotas>();
  let reads = 0;
  let newest = 0;

  async function read() {
    const number = ++reads;
    const stored = await redis.hgetall(tenantsKey);
    // Of two answers that come in another order than they were asked for, the later one's is right.
    if (number < newest) return;
    newest = number;
    known = new Map(
      Object.entries(stored).map(([name, text]) => [name, quotasSchema.parse(JSON.parse(text))]),
    );
  }

  const readAgain = () => void read().catch(onError);
  function receive(channel: string) {
    if (channel === changedChannel) readAgain();
  }
  subscriber.on('message', receive);
  subscriber.on('ready', readAgain);
  await subscriber.subscribe(changedChannel);
  await read();
  const timer = setInterval(readAgain, readEveryMs).unref();

  return {
    quotasOf: (tenant) => known.get(tenant) ?? unlimited,
    isShared: () => known.size > (known.has(defaultTenant) ? 1 : 0),
    async put({ name, quotas }) {
      await redis.multi().hset(tenantsKey, name, JSON.stringify(quotas)).publish(changedChannel, name).exec();
      await read();
    },
    async ensure(name) {
      if ((await redis.hsetnx(tenantsKey, name, '{}')) === 0) return;
      await redis.publish(changedChannel, name);
      await read();
    },
    async get(name) {
      const text = await redis.hget(tenantsKey, name);
      if (text === null) return name === defaultTenant ? { name, quotas: unlimited } : undefined;
      return { name, quotas: quotasSchema.parse(JSON.parse(text)) };
    },
    async list() {
      const stored = { [defaultTenant]: '{}', ...(await redis.hgetall(tenantsKey)) };
      return Object.entries(stored)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, text]) => ({ name, quotas: quotasSchema.parse(JSON.parse(text)) }));
    },
    async close() {
      clearInterval(timer);
      subscriber.off('message', receive);
      subscriber.off('ready', readAgain);
      await subscriber.unsubscribe(changedChannel);
    },
  };
}
