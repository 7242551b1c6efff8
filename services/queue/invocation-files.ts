import type { Redis } from '../shared/redis.ts';

/** What an invocation left in its writable layer, a tar; kept as long as its record. */
export const filesKey = (id: string) => `oncebox:files:${id}`;
/** Their ids, by the time in ms at which they were kept. */
export const filesIndexKey = 'oncebox:files-at';

export async function saveFiles(redis: Redis, id: string, tar: Uint8Array, keepMs: number): Promise<void> {
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
  const now = Date.now();
  // The index first: what it does not name would not give way when memory is short.
  await redis.zremrangebyscore(filesIndexKey, '-inf', now - keepMs);
  await redis.zadd(filesIndexKey, now, id);
  await redis.set(filesKey(id), bytes, 'PX', keepMs);
}

export async function readFiles(redis: Redis, id: string): Promise<Buffer | undefined> {
  return (await redis.getBuffer(filesKey(id))) ?? undefined;
}
