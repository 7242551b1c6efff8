import type { TaskEvent } from '../../sdk/contract/image.ts';

/** Of a pull, push, import or build, or of a language that is installed: who listens, and until when it is wanted. */
export interface ImageTask {
  onEvent: (event: TaskEvent) => void;
  signal: AbortSignal;
}

/** Equal tasks at one time are one: every caller gets the events, and it is aborted when the last caller has left. */
export class SharedTasks<Value> {
  readonly #tasks = new Map<
    string,
    { value: Promise<Value>; callers: Set<ImageTask>; abort: AbortController }
  >();

  async run(key: string, caller: ImageTask, work: (task: ImageTask) => Promise<Value>): Promise<Value> {
    caller.signal.throwIfAborted();
    let task = this.#tasks.get(key);
    if (!task) {
      const callers = new Set<ImageTask>();
      const abort = new AbortController();
      const onEvent = (event: TaskEvent) => {
        for (const { onEvent } of callers) onEvent(event);
      };
      const value = work({ onEvent, signal: abort.signal });
      task = { value, callers, abort };
      this.#tasks.set(key, task);
      const forget = () => {
        if (this.#tasks.get(key)?.value === value) this.#tasks.delete(key);
      };
      value.then(forget, forget);
    }
    const { value, callers, abort } = task;
    callers.add(caller);
    let abandon = (_reason: unknown) => {};
    const left = new Promise<never>((_, reject) => {
      abandon = reject;
    });
    const leave = () => {
      callers.delete(caller);
      if (callers.size === 0) {
        // Who comes now begins anew instead of joining what is being ended.
        this.#tasks.delete(key);
        abort.abort(caller.signal.reason);
        // What it leaves is cleaned up before the caller hears of it.
        value.catch(() => {}).then(() => abandon(caller.signal.reason));
      } else abandon(caller.signal.reason);
    };
    caller.signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([value, left]);
    } finally {
      caller.signal.removeEventListener('abort', leave);
      callers.delete(caller);
    }
  }
}
