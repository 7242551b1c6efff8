import type { Redis } from '../shared/redis.ts';

/** What an invocation left in its writable layer, a tar; kept as long as its record. */
const filesKey = (id: string) => `oncebox:files:${id}`;

export async function saveFiles(redis: Redis, id: string, tar: Uint8Array, keepMs: number): Promise<void> {
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
  await redis.set(filesKey(id), bytes, 'PX', keepMs);
}

export async function readFiles(redis: Redis, id: string): Promise<Buffer | undefined> {
  return (await redis.getBuffer(filesKey(id))) ?? undefined;
}
