import type { Sandbox } from '../sandbox/sandbox.ts';

/** How many sandboxes a pool makes at once in the background: enough to keep up, few enough not to starve leases. */
const refillParallelism = 2;
const backoffFirstMs = 50;
const backoffMaxMs = 5_000;

export interface WarmPoolOptions {
  /** Makes one parked, ready sandbox. */
  create: () => Promise<Sandbox>;
  /** Parked sandboxes to keep ready. */
  target: number;
  /** Told of every failed refill; the pool goes on by itself. */
  onError: (error: unknown) => void;
}

/** What a sandbox is to its pool. It only ever moves down this list, and leaves the pool when dead. */
export type PoolState = 'parked' | 'leased';

export interface PoolEntry {
  sandbox: Sandbox;
  state: PoolState;
  /** How it was, or would be, handed out. */
  start: 'warm' | 'fork';
}

export interface Lease {
  sandbox: Sandbox;
  start: 'warm' | 'fork';
}

/**
 * Keeps `target` sandboxes parked and hands each out once.
 *
 *     create ──► parked ──lease──► leased ──► dead
 *                  └──── dies, or the pool shrinks or closes ──► dead
 *
 * A lease that finds nothing parked creates its own, so an empty pool costs a fork and never an error. Whoever
 * leases owns the sandbox and must run or kill it; the pool only watches it until it is dead. Nothing ever goes
 * back to `parked`.
 */
export class WarmPool {
  readonly #create: () => Promise<Sandbox>;
  readonly #onError: (error: unknown) => void;
  /** Insertion order is age: the oldest parked one is leased first. */
  readonly #entries = new Map<Sandbox, PoolEntry>();
  readonly #refills = new Set<Promise<void>>();
  readonly #fullWaiters: (() => void)[] = [];
  #target: number;
  #parked = 0;
  #failures = 0;
  #backoff: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: WarmPoolOptions) {
    this.#create = options.create;
    this.#onError = options.onError;
    this.#target = options.target;
    this.#refill();
  }

  get parked(): number {
    return this.#parked;
  }

  get leased(): number {
    return this.#entries.size - this.#parked;
  }

  get target(): number {
    return this.#target;
  }

  list(): readonly PoolEntry[] {
    return [...this.#entries.values()];
  }

  /** Rejects as `create` does when nothing is parked and none can be made, or when the pool is closed. */
  async lease(): Promise<Lease> {
    if (this.#closing) throw new Error('cannot lease: the pool is closed');
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'parked' || entry.sandbox.state === 'dead') continue;
      this.#unpark(entry);
      // Making its replacement costs as much CPU as the caller's run, so it waits until that is over, unless the
      // pool runs low; then the next turn of the event loop, for the hand-over goes to the kernel first.
      if (this.#parked * 2 < this.#target) setImmediate(() => this.#refill());
      return { sandbox: entry.sandbox, start: 'warm' };
    }
    const sandbox = await this.#create();
    this.#failures = 0;
    if (this.#closing) {
      await sandbox.kill();
      throw new Error('cannot lease: the pool is closed');
    }
    this.#watch({ sandbox, state: 'leased', start: 'fork' });
    return { sandbox, start: 'fork' };
  }

  /** Resolves when `target` sandboxes are parked, or the pool is closed. */
  full(): Promise<void> {
    if (this.#isFull()) return Promise.resolve();
    return new Promise((resolve) => this.#fullWaiters.push(resolve));
  }

  setTarget(target: number): void {
    this.#target = target;
    for (const entry of this.#entries.values()) {
      if (this.#parked <= target) break;
      if (entry.state === 'parked') this.#evict(entry);
    }
    this.#settleFull();
    this.#refill();
  }

  /** Kills what is parked, now or once made. Resolves when all of that is dead; leased ones are their owners'. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#backoff);
    const evicted = this.list()
      .filter((entry) => entry.state === 'parked')
      .map((entry) => this.#evict(entry));
    // `#closing` is assigned once this function first yields; only then may refills under way look at it.
    await Promise.all([...evicted, ...this.#refills]);
    this.#settleFull();
  }

  #refill(): void {
    const idle = () => !this.#closing && this.#backoff === undefined;
    const parallelism = this.#failures > 0 ? 1 : refillParallelism;
    while (idle() && this.#refills.size < parallelism && this.#parked + this.#refills.size < this.#target) {
      const refill = this.#park().finally(() => {
        this.#refills.delete(refill);
        this.#refill();
      });
      this.#refills.add(refill);
    }
  }

  async #park(): Promise<void> {
    let sandbox: Sandbox;
    try {
      sandbox = await this.#create();
    } catch (error) {
      if (this.#closing) return;
      this.#onError(error);
      this.#backOff();
      return;
    }
    this.#failures = 0;
    // Closed or shrunk while it was being made: it is not wanted any more.
    if (this.#closing || this.#parked >= this.#target) return sandbox.kill();
    this.#parked += 1;
    this.#watch({ sandbox, state: 'parked', start: 'warm' });
    this.#settleFull();
  }

  #backOff(): void {
    if (this.#backoff !== undefined || this.#closing) return;
    const delayMs = Math.min(backoffFirstMs * 2 ** this.#failures, backoffMaxMs);
    this.#failures += 1;
    this.#backoff = setTimeout(() => {
      this.#backoff = undefined;
      this.#refill();
    }, delayMs);
    this.#backoff.unref();
  }

  #watch(entry: PoolEntry): void {
    this.#entries.set(entry.sandbox, entry);
    void entry.sandbox.dead.then(() => {
      if (!this.#entries.delete(entry.sandbox)) return;
      if (entry.state === 'leased') return this.#refill();
      this.#parked -= 1;
      // Not at once: what kills parked sandboxes, such as a crashed zone, would kill their replacements in a hot loop.
      this.#backOff();
    });
  }

  #unpark(entry: PoolEntry): void {
    entry.state = 'leased';
    this.#parked -= 1;
  }

  #evict(entry: PoolEntry): Promise<void> {
    this.#entries.delete(entry.sandbox);
    this.#parked -= 1;
    return entry.sandbox.kill();
  }

  #isFull(): boolean {
    return this.#parked >= this.#target || this.#closing !== undefined;
  }

  #settleFull(): void {
    if (this.#isFull()) for (const resolve of this.#fullWaiters.splice(0)) resolve();
  }
}
