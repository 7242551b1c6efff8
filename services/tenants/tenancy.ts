import type { Tenant, TenantRecord } from '../../sdk/contract/tenant.ts';
import type { Redis } from '../shared/redis.ts';
import { type Authenticator, openAuthenticator } from './authenticator.ts';
import { createKeyStore, type KeyStore } from './key-store.ts';
import { createRequestRates, type RequestRates } from './request-rates.ts';
import {
  createStorageLedger,
  type StorageLedger,
  type WithinQuota,
  withinQuotaOf,
} from './storage-ledger.ts';
import { openTenantBook, type TenantBook } from './tenant-book.ts';
import { createUsageLedger, type UsageLedger } from './usage-ledger.ts';

/** Who may call, and whose things are whose. */
export interface Tenancy {
  readonly keys: KeyStore;
  /** Undefined: the platform asks for no keys. */
  readonly authenticator: Authenticator | undefined;
  readonly book: TenantBook;
  readonly rates: RequestRates;
  readonly ledger: UsageLedger;
  readonly storage: StorageLedger;
  readonly withinQuota: WithinQuota;
  usageOf(tenant: Tenant): Promise<TenantRecord['usage']>;
  close(): Promise<void>;
}

export interface TenancyOptions {
  redis: Redis;
  /** A connection of this process that is used for subscriptions only. */
  subscriber: Redis;
  needsKeys: boolean;
  /** Empty: there is none. */
  adminKey: string;
  onError: (error: unknown) => void;
}

export async function openTenancy(options: TenancyOptions): Promise<Tenancy> {
  const { redis, subscriber, needsKeys, adminKey, onError } = options;
  const master = adminKey === '' ? undefined : adminKey;
  const keys = createKeyStore(redis, master);
  const authenticator = needsKeys
    ? await openAuthenticator({ keys, subscriber, adminKey: master })
    : undefined;
  const book = await openTenantBook({ redis, subscriber, onError });
  const rates = createRequestRates(redis);
  const ledger = createUsageLedger(redis);
  const storage = createStorageLedger(redis);
  return {
    book,
    rates,
    ledger,
    storage,
    withinQuota: withinQuotaOf(book, storage),
    keys: {
      ...keys,
      async delete(id) {
        await keys.delete(id);
        // Here it opens nothing before the reply is sent; the others hear of it.
        authenticator?.forget(id);
      },
    },
    authenticator,
    async usageOf({ name, quotas }) {
      const { requestsPerMinute, concurrency } = quotas;
      const [requestsThisMinute, unfinished, cpuSecondsToday, storageBytes] = await Promise.all([
        requestsPerMinute === undefined ? undefined : rates.counted(name, requestsPerMinute),
        concurrency === undefined ? undefined : ledger.concurrency(name),
        ledger.cpuSecondsToday(name),
        storage.storedBytes(name),
      ]);
      return {
        ...(requestsThisMinute !== undefined && { requestsThisMinute }),
        ...(unfinished !== undefined && { concurrency: unfinished }),
        cpuSecondsToday,
        storageBytes,
      };
    },
    async close() {
      await authenticator?.close();
      await book.close();
    },
  };
}
