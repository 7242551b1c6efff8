interface Waiter {
  tenant: string;
  bytes: number;
  /** What others were given while this one was the first of its tenant and did not fit. */
  passedBytes: number;
  admit: () => void;
}

/** Gives back all but the bytes that are still needed: none unless given. */
export type Release = (neededBytes?: number) => void;

/** For whom, and until when, room is waited for. */
export interface AcquireOptions {
  tenant?: string;
  signal?: AbortSignal;
}

/**
 * The node's memory, shared out by cap: the sum of what is admitted never exceeds the total. Tenants take turns; of one
 * tenant, who came first goes first, so that a large invocation is not starved by small ones that would still fit. What of a
 * tenant does not fit is passed by others, but not for ever: once they were given as much as there is in all, it is next,
 * unless its tenant has more than an equal part already.
 */
export class MemoryCapacity {
  readonly totalBytes: number;
  /** Each tenant's, in the order of their turns. */
  readonly #queues = new Map<string, Waiter[]>();
  readonly #heldBytes = new Map<string, number>();
  readonly #isShared: () => boolean;
  #freeBytes: number;

  /** Where it is shared with other tenants, one that has some already gets no more of the last eighth. */
  constructor(totalBytes: number, isShared: () => boolean = () => false) {
    this.totalBytes = totalBytes;
    this.#freeBytes = totalBytes;
    this.#isShared = isShared;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  get waiting(): number {
    let count = 0;
    for (const queue of this.#queues.values()) count += queue.length;
    return count;
  }

  /**
   * Resolves with the function that gives the room back, once and only once; before that, all but so many bytes, where it is
   * told how many are still needed. Rejects when it can never fit
   * (RangeError), and with the signal's reason when that aborts first.
   */
  async acquire(bytes: number, { tenant = '', signal }: AcquireOptions = {}): Promise<Release> {
    if (bytes > this.totalBytes) {
      throw new RangeError(`cannot admit ${bytes} bytes: the node runs ${this.totalBytes} at most`);
    }
    signal?.throwIfAborted();
    await this.#wait(tenant, bytes, signal);
    let heldBytes = bytes;
    return (neededBytes = 0) => {
      const freed = Math.max(0, heldBytes - neededBytes);
      heldBytes -= freed;
      this.#hold(tenant, -freed);
      this.#admit();
    };
  }

  #wait(tenant: string, bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#drop(waiter);
        reject(signal?.reason);
        // It may have been what the others stood behind.
        this.#admit();
      };
      const admit = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const waiter: Waiter = { tenant, bytes, passedBytes: 0, admit };
      const queue = this.#queues.get(tenant);
      if (queue) queue.push(waiter);
      else this.#queues.set(tenant, [waiter]);
      signal?.addEventListener('abort', leave, { once: true });
      this.#admit();
    });
  }

  #admit(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      this.#drop(next);
      this.#hold(next.tenant, next.bytes);
      for (const [head] of this.#queues.values())
        if (head && head.tenant !== next.tenant && !this.#fits(head)) head.passedBytes += next.bytes;
      next.admit();
    }
  }

  #next(): Waiter | undefined {
    const heads = [...this.#queues.values()].flatMap((queue) => queue.slice(0, 1));
    const due = heads.find((head) => this.#isDue(head));
    return (due ? [due] : heads).find((head) => this.#fits(head));
  }

  #fits(waiter: Waiter): boolean {
    return waiter.bytes <= this.#freeBytes && this.#isWithinShare(waiter);
  }

  #isWithinShare({ tenant, bytes }: Waiter): boolean {
    const held = this.#heldBytes.get(tenant) ?? 0;
    return held === 0 || !this.#isShared() || held + bytes <= this.totalBytes * (7 / 8);
  }

  /** Whether the others are to wait for it: not while it waits for its own tenant. */
  #isDue(waiter: Waiter): boolean {
    if (waiter.passedBytes < this.totalBytes || !this.#isWithinShare(waiter)) return false;
    const tenants = new Set([...this.#queues.keys(), ...this.#heldBytes.keys()]).size;
    return (this.#heldBytes.get(waiter.tenant) ?? 0) <= this.totalBytes / tenants;
  }

  /** Takes it out, and its tenant has its next turn after the others. */
  #drop(waiter: Waiter): void {
    const queue = this.#queues.get(waiter.tenant) ?? [];
    queue.splice(queue.indexOf(waiter), 1);
    this.#queues.delete(waiter.tenant);
    if (queue.length > 0) this.#queues.set(waiter.tenant, queue);
  }

  #hold(tenant: string, bytes: number): void {
    this.#freeBytes -= bytes;
    const held = (this.#heldBytes.get(tenant) ?? 0) + bytes;
    if (held === 0) this.#heldBytes.delete(tenant);
    else this.#heldBytes.set(tenant, held);
  }
}
