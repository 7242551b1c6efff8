import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { packCodeLayer } from '../registry/code-layer.ts';
import type { Registry } from '../registry/registry.ts';
import type { StorageLedger } from './storage-ledger.ts';
import type { TenantBook } from './tenant-book.ts';

/** The registry, which refuses code beyond the tenant's quota of storage with `quota_exceeded`. */
export function limitStorage(
  registry: Registry,
  { book, storage }: { book: TenantBook; storage: StorageLedger },
): Registry {
  return {
    ...registry,
    async deploy(deployment) {
      const { tenant = defaultTenant, files } = deployment;
      const quota = book.quotasOf(tenant).storageBytes;
      if (quota === undefined) return registry.deploy(deployment);
      const { tar, digest } = packCodeLayer(files);
      const claim = { tenant, what: digest, bytes: tar.byteLength, quota };
      return storage.within(claim, () => registry.deploy(deployment));
    },
  };
}
