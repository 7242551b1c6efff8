import type { UndoStack } from '../../services/shared/shutdown.ts';

/**
 * Does `work` as a thing to be undone: undoing aborts its signal and waits until it has settled. So it is interrupted
 * before what it stands on, which was pushed earlier, is taken away.
 */
export function interruptible<T>(
  undo: UndoStack | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interrupted = new AbortController();
  const working = work(interrupted.signal);
  undo?.push(async () => {
    interrupted.abort(new Error('the measurement was interrupted'));
    await working.catch(() => {});
  });
  return working;
}
