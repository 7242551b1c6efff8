import type { Logger } from './logger.ts';

type Undo = () => unknown;

/** What a process has made, to be undone in reverse order. */
export interface UndoStack {
  push(undo: Undo): void;
  /** Undoes all, once; a later call waits for the first. An undo that fails is logged and the rest still run. */
  run(): Promise<void>;
}

export function createUndoStack(logger?: Logger): UndoStack {
  const undos: Undo[] = [];
  let running: Promise<void> | undefined;
  async function undoAll() {
    for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
      try {
        await undo();
      } catch (error) {
        logger?.error({ err: error }, 'cannot undo a step of the start');
      }
    }
  }
  return {
    push: (undo) => undos.push(undo),
    run: () => {
      running ??= undoAll();
      return running;
    },
  };
}

/** Calls `stop` once: on SIGTERM, SIGINT, or when the parent that started us with an IPC channel is gone. */
export function onStopRequest(stop: (reason: string) => void): void {
  let asked = false;
  const once = (reason: string) => {
    if (!asked) stop(reason);
    asked = true;
  };
  process.on('SIGTERM', () => once('SIGTERM'));
  process.on('SIGINT', () => once('SIGINT'));
  process.on('disconnect', () => once('parent gone'));
}
