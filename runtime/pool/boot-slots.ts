/** Boots that take no longer than this have slots of their own, milliseconds. */
const quickMs = 5_000;
/** Boots at once, each of which takes a core: such as are quick, or still may be, and such as are not. */
const quickMax = 2;
const longMax = 2;
/** Names that wait; beyond them nobody waits, and asks again. */
const waitingMax = 256;

export interface BootSlot {
  /** Aborted when the boot takes longer than it may at present. */
  readonly signal: AbortSignal;
  /** Idempotent. */
  end(): void;
}

/**
 * Turns to boot a function's zygote. Names are served in the order in which they asked, one turn at a time each, so that
 * none gets more of them by asking more often. A turn that lasts longer than five seconds makes room for the next and goes
 * on among the long ones, if there is room: initialisation that never ends keeps nobody from a quick boot.
 */
export class BootSlots {
  readonly #turns = new Set<string>();
  readonly #waiting = new Map<string, (slot: BootSlot | undefined) => void>();
  #quick = 0;
  #long = 0;
  #isClosed = false;

  /**
   * Resolves with undefined when the name waits or boots already, when too many wait, and when it is not wanted any more
   * or nobody boots any more.
   */
  enter(name: string, signal?: AbortSignal): Promise<BootSlot | undefined> {
    const isRefused = this.#turns.has(name) || this.#waiting.has(name) || this.#waiting.size >= waitingMax;
    if (this.#isClosed || isRefused) return Promise.resolve(undefined);
    if (this.#quick < quickMax) return Promise.resolve(this.#begin(name));
    return new Promise((resolve) => {
      this.#waiting.set(name, resolve);
      signal?.addEventListener('abort', () => {
        if (this.#waiting.get(name) === resolve) this.#waiting.delete(name);
        resolve(undefined);
      });
    });
  }

  /** Nobody boots any more; turns that are under way are their owners' to end. */
  close(): void {
    this.#isClosed = true;
    for (const resolve of this.#waiting.values()) resolve(undefined);
    this.#waiting.clear();
  }

  #begin(name: string): BootSlot {
    const stop = new AbortController();
    let phase: 'quick' | 'long' | 'over' = 'quick';
    this.#turns.add(name);
    this.#quick += 1;
    const timer = setTimeout(() => {
      if (this.#long >= longMax) {
        stop.abort(
          new Error(`it took longer than ${quickMs} ms to boot, as ${longMax} others do at present`),
        );
        return;
      }
      phase = 'long';
      this.#quick -= 1;
      this.#long += 1;
      this.#callNext();
    }, quickMs).unref();
    const end = () => {
      if (phase === 'over') return;
      clearTimeout(timer);
      if (phase === 'quick') this.#quick -= 1;
      else this.#long -= 1;
      phase = 'over';
      this.#turns.delete(name);
      this.#callNext();
    };
    return { signal: stop.signal, end };
  }

  #callNext(): void {
    for (const [name, resolve] of this.#waiting) {
      if (this.#quick >= quickMax) return;
      this.#waiting.delete(name);
      resolve(this.#begin(name));
    }
  }
}
