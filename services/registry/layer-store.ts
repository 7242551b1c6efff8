import { createHash } from 'node:crypto';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { layerKey } from './keys.ts';

/**
 * The tar of a code layer, checked against its digest. Throws PlatformError `function_not_found` if it is gone:
 * the function was deleted after the invocation was enqueued.
 */
export async function fetchCodeLayer(redis: Redis, hex: string): Promise<Uint8Array> {
  const tar = await redis.getBuffer(layerKey(hex));
  if (tar === null)
    throw new PlatformError('function_not_found', `code layer ${hex} is gone: function deleted`);
  const actual = createHash('sha256').update(tar).digest('hex');
  if (actual !== hex)
    throw new PlatformError('internal', `code layer ${hex} is damaged: it hashes to ${actual}`);
  return tar;
}
