import { defaultTenant } from '../../sdk/contract/tenant.ts';
import type { Redis } from '../shared/redis.ts';

/** What an invocation left in its writable layer, a tar; kept as long as its record. */
export const filesKey = (id: string) => `oncebox:files:${id}`;
/** Their ids, by the time in ms at which they were kept. */
export const filesIndexKey = 'oncebox:files-at';

/** Ids of those of a tenant, by the same. */
export const filesOfTenantKey = (tenant: string) => `oncebox:files-of:${tenant}`;

export async function saveFiles(
  redis: Redis,
  id: string,
  tar: Uint8Array,
  keepMs: number,
  tenant: string = defaultTenant,
): Promise<void> {
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
  const now = Date.now();
  // The index first: what it does not name would not give way when memory is short.
  for (const index of [filesIndexKey, filesOfTenantKey(tenant)]) {
    await redis.zremrangebyscore(index, '-inf', now - keepMs);
    await redis.zadd(index, now, id);
  }
  // Gone with the last archive.
  await redis.pexpire(filesOfTenantKey(tenant), keepMs);
  await redis.set(filesKey(id), bytes, 'PX', keepMs);
}

export async function readFiles(redis: Redis, id: string): Promise<Buffer | undefined> {
  return (await redis.getBuffer(filesKey(id))) ?? undefined;
}
