import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultyPlatform } from '../platform.ts';
import type { Fault } from './fault.ts';

const fullForMs = 3_000;
const chunk = Buffer.alloc(1024 * 1024, 1);

/** Not a byte is left under the data directory for a while. The platform must have a disk of its own. */
export const fillDisk: Fault = {
  name: 'fill the disk',
  async strike(platform) {
    const empty = await fillDiskOf(platform);
    await delay(fullForMs);
    await empty();
    return `for ${fullForMs} ms`;
  },
};

/** Resolves when the disk is full, with what frees it again. */
export async function fillDiskOf({ config }: FaultyPlatform): Promise<() => Promise<void>> {
  const path = join(config.ONCEBOX_DATA_DIR, 'ballast');
  const file = await open(path, 'w');
  try {
    for (let size = chunk.length; size >= 1; ) {
      const { bytesWritten } = await file.write(chunk, 0, size).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOSPC') throw error;
        return { bytesWritten: 0 };
      });
      if (bytesWritten < size) size = Math.floor(size / 2);
    }
  } finally {
    await file.close();
  }
  return () => rm(path);
}
