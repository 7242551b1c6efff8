import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const everyMs = 1_000;
/** So long a stop waits for a sync under way. */
const stopWithinMs = 5_000;
/** The directory is another user's: what lies there may be a link to anywhere, or a pipe that nobody opens. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Puts what Redis has appended on the disk itself every second, so that a power cut costs a second at most. `stop` ends
 * that, once a sync under way is over or takes too long. A disk that fails is Redis' to report: its next write does.
 */
export function syncAppendOnly(redisDir: string): { stop(): Promise<void> } {
  const directory = join(redisDir, 'appendonlydir');
  let work: Promise<void> | undefined;
  const timer = setInterval(() => {
    work ??= syncFiles(directory)
      .catch(() => {})
      .then(() => {
        work = undefined;
      });
  }, everyMs).unref();
  return {
    async stop() {
      clearInterval(timer);
      const ended = new AbortController();
      const late = delay(stopWithinMs, undefined, { signal: ended.signal }).catch(() => {});
      await Promise.race([work, late]);
      ended.abort();
    },
  };
}

/** Resolves with how many there were. */
export async function syncFiles(directory: string): Promise<number> {
  let synced = 0;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(directory, entry.name), flags);
    try {
      // It may have been exchanged since.
      if (!(await file.stat()).isFile()) continue;
      await file.datasync();
      synced += 1;
    } finally {
      await file.close();
    }
  }
  return synced;
}
