import { setTimeout as delay } from 'node:timers/promises';
import { connectRedis } from '../../../services/shared/redis.ts';
import type { FaultyPlatform } from '../platform.ts';
import type { Fault } from './fault.ts';

const fullForMs = 3_000;

/** Redis may have no more memory than it holds, for a while. */
export const fillRedis: Fault = {
  name: 'fill Redis',
  async strike(platform) {
    const empty = await fillRedisOf(platform);
    await delay(fullForMs);
    await empty();
    return `for ${fullForMs} ms`;
  },
};

/** Resolves when Redis is full, with what gives it its memory back. */
export async function fillRedisOf(platform: FaultyPlatform): Promise<() => Promise<void>> {
  await limitMemory(platform, 1);
  return () => limitMemory(platform, platform.config.ONCEBOX_REDIS_MEMORY_BYTES);
}

async function limitMemory({ config }: FaultyPlatform, bytes: number): Promise<void> {
  const redis = connectRedis(`unix://${config.runDir}/redis.sock`);
  try {
    await redis.config('SET', 'maxmemory', bytes);
  } finally {
    redis.disconnect();
  }
}
