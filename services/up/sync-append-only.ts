import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const everyMs = 1_000;

/**
 * Puts what Redis has appended on the disk itself every second, so that a power cut costs a second at most. `stop` ends
 * that, once a sync under way is over. A disk that fails is Redis' to report: its next write does.
 */
export function syncAppendOnly(redisDir: string): { stop(): Promise<void> } {
  const directory = join(redisDir, 'appendonlydir');
  let work: Promise<void> | undefined;
  const timer = setInterval(() => {
    work ??= syncFiles(directory)
      .catch(() => {})
      .finally(() => {
        work = undefined;
      });
  }, everyMs).unref();
  return {
    async stop() {
      clearInterval(timer);
      await work;
    },
  };
}

async function syncFiles(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const file = await open(join(directory, name), 'r');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  }
}
