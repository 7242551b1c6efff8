interface Waiter {
  bytes: number;
  admit: () => void;
}

/** Gives back all but the bytes that are still needed: none unless given. */
export type Release = (neededBytes?: number) => void;

/**
 * The node's memory, shared out by cap: the sum of what is admitted never exceeds the total. First come, first
 * served, so that a large invocation is not starved by small ones that would still fit.
 */
export class MemoryCapacity {
  readonly totalBytes: number;
  readonly #queue: Waiter[] = [];
  #freeBytes: number;

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
    this.#freeBytes = totalBytes;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Resolves with the function that gives the room back, once and only once; before that, all but so many bytes, where it is
   * told how many are still needed. Rejects when it can never fit
   * (RangeError), and with the signal's reason when that aborts first.
   */
  async acquire(bytes: number, signal?: AbortSignal): Promise<Release> {
    if (bytes > this.totalBytes) {
      throw new RangeError(`cannot admit ${bytes} bytes: the node runs ${this.totalBytes} at most`);
    }
    signal?.throwIfAborted();
    if (this.#queue.length === 0 && bytes <= this.#freeBytes) this.#freeBytes -= bytes;
    else await this.#wait(bytes, signal);
    let heldBytes = bytes;
    return (neededBytes = 0) => {
      const freed = Math.max(0, heldBytes - neededBytes);
      heldBytes -= freed;
      this.#freeBytes += freed;
      this.#admit();
    };
  }

  #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1);
        reject(signal?.reason);
        // It may have been what the others stood behind.
        this.#admit();
      };
      const admit = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const waiter: Waiter = { bytes, admit };
      this.#queue.push(waiter);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  #admit(): void {
    for (let first = this.#queue[0]; first && first.bytes <= this.#freeBytes; first = this.#queue[0]) {
      this.#queue.shift();
      this.#freeBytes -= first.bytes;
      first.admit();
    }
  }
}
