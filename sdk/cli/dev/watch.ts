import { once } from 'node:events';
import { basename } from 'node:path';
import { watch } from 'chokidar';

/** An editor, a compiler or git writes several files at once, or one in several steps. */
const quietMs = 50;

/** What no save of a source file changes, or what would be far too many files to watch. */
const unwatched = new Set(['node_modules', '.git', '.hg', '.svn', '__pycache__', '.venv']);

interface Watcher {
  /**
   * Resolves when something has changed since the last call, and nothing has for a moment. Rejects when the signal is
   * aborted.
   */
  changed(): Promise<void>;
  close(): Promise<void>;
}

interface WatchOptions {
  signal: AbortSignal;
  /** What cannot be watched, such as a file too many; the rest still is. */
  onError(error: Error): void;
}

/** Watches a directory; resolves when no later change escapes. */
export async function watchDirectory(directory: string, { signal, onError }: WatchOptions): Promise<Watcher> {
  const watcher = watch(directory, {
    ignoreInitial: true,
    ignored: (path) => path !== directory && unwatched.has(basename(path)),
  });
  let isChanged = false;
  let quiet: NodeJS.Timeout | undefined;
  let wake = () => {};
  watcher.on('all', () => {
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      isChanged = true;
      wake();
    }, quietMs);
  });
  watcher.on('error', (error) => onError(error as Error));
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  await Promise.race([once(watcher, 'ready'), aborted]);

  return {
    async changed() {
      const change = new Promise<void>((resolve) => {
        wake = resolve;
        if (isChanged) resolve();
      });
      await Promise.race([change, aborted]);
      isChanged = false;
    },
    async close() {
      clearTimeout(quiet);
      await watcher.close();
    },
  };
}
