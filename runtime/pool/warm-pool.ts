import type { Sandbox } from '../sandbox/sandbox.ts';
import { Demand } from './demand.ts';
import type { GateMember, ParkingBudget, RefillGate } from './refill-gate.ts';
import { type PoolStats, Tally } from './stats.ts';

const backoffFirstMs = 50;
const backoffMaxMs = 5_000;
/** A parked sandbox that lived so long did not die of being parked. */
const healthyMs = 1_000;
/** How long a replacement waits for a run to end: what the run needs to start is behind it then. */
const deferMs = 25;
/** How often a pool that was leased from looks whether it holds too many. */
const decayMs = 2_000;

export interface WarmPoolOptions {
  /** Makes one parked, ready sandbox. */
  create: () => Promise<Sandbox>;
  /** Kept parked when nobody leases. */
  min: number;
  /** Parked at most, however great the demand. */
  max: number;
  /** Of `min`, those that are kept even when the budget of the node is used up. 0 unless given. */
  reserved?: number;
  /** Shared by the pools of a node. */
  gate: RefillGate;
  /** Shared by some of them, beside the gate's own. */
  budget?: ParkingBudget;
  /** What is counted of it, together with others. */
  tally?: Tally;
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
 * Keeps as many sandboxes parked as `Demand` calls for, and hands each out once.
 *
 *     create ──► parked ──lease──► leased ──► dead
 *                  └──── dies, or the pool shrinks or closes ──► dead
 *
 * A lease that finds nothing parked creates its own, so an empty pool costs a fork and never an error. Whoever
 * leases owns the sandbox and must run or kill it; the pool only watches it until it is dead. Nothing ever goes
 * back to `parked`. A new pool is empty until it is filled or leased from.
 */
export class WarmPool implements GateMember {
  reserved: number;
  readonly budget: ParkingBudget | undefined;
  readonly #options: WarmPoolOptions;
  readonly #gate: RefillGate;
  readonly #demand: Demand;
  readonly #tally: Tally;
  /** Insertion order is age: the oldest parked one is leased first. */
  readonly #entries = new Map<Sandbox, PoolEntry>();
  readonly #refills = new Set<Promise<void>>();
  readonly #fullWaiters: (() => void)[] = [];
  #parked = 0;
  /** Of what is parked or being made for it: that of an earlier one is not wanted. */
  #generation = 0;
  #failures = 0;
  /** Parked ones in a row that died as soon as they were. */
  #deaths = 0;
  #backoff: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #deferred: NodeJS.Timeout | undefined;
  #decay: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: WarmPoolOptions) {
    const { min, max, reserved = 0, gate } = options;
    this.#options = options;
    this.reserved = reserved;
    this.budget = options.budget;
    this.#gate = gate;
    this.#tally = options.tally ?? new Tally();
    this.#demand = new Demand({ min, max, servers: gate.slots, deferMs });
    gate.join(this);
  }

  get parked(): number {
    return this.#parked;
  }

  get leased(): number {
    return this.#entries.size - this.#parked;
  }

  get target(): number {
    return this.#demand.target(performance.now());
  }

  get ratePerSecond(): number {
    return this.#demand.ratePerSecond(performance.now());
  }

  get isLow(): boolean {
    return this.#held < this.#demand.need(performance.now());
  }

  list(): readonly PoolEntry[] {
    return [...this.#entries.values()];
  }

  stats(): PoolStats {
    const { parked, leased, target, ratePerSecond } = this;
    return { parked, leased, target, ratePerSecond, refillMs: this.#demand.refillMs };
  }

  /** Rejects as `create` does when nothing is parked and none can be made, or when the pool is closed. */
  async lease(): Promise<Lease> {
    if (this.#closing) throw new Error('cannot lease: the pool is closed');
    this.#demand.leased(performance.now());
    this.#decay ??= setTimeout(() => this.#shrink(), decayMs).unref();
    for (const entry of this.#entries.values()) {
      if (entry.state !== 'parked' || entry.sandbox.state === 'dead') continue;
      this.#unpark(entry);
      this.#deaths = 0;
      this.#tally.warmLeases += 1;
      this.#refillLater();
      return { sandbox: entry.sandbox, start: 'warm' };
    }
    this.#tally.forkLeases += 1;
    this.#refillLater();
    const sandbox = await this.#make();
    this.#failures = 0;
    if (this.#closing) {
      await sandbox.kill();
      throw new Error('cannot lease: the pool is closed');
    }
    this.#watch({ sandbox, state: 'leased', start: 'fork' });
    return { sandbox, start: 'fork' };
  }

  /** Resolves when `min` sandboxes are parked, or the pool is closed. */
  full(): Promise<void> {
    this.refill();
    if (this.#isFull()) return Promise.resolve();
    return new Promise((resolve) => this.#fullWaiters.push(resolve));
  }

  /** Makes what is missing as far as the gate lets it. */
  refill(): void {
    const parallelism = this.#failures > 0 ? 1 : this.#gate.slots;
    while (!this.#closing && this.#backoff === undefined && this.#refills.size < parallelism) {
      if (this.#held >= this.target) return;
      const made = this.#gate.enter(this, this.#held);
      if (!made) return;
      const refill = this.#park().finally(() => {
        this.#refills.delete(refill);
        made();
        this.refill();
      });
      this.#refills.add(refill);
    }
  }

  /** From now on at least so many are parked, whatever the demand and whoever wants their places; 0: as at first. */
  keep(count: number): void {
    if (this.#closing) return;
    this.#demand.min = Math.max(this.#options.min, count);
    this.reserved = Math.max(this.#options.reserved ?? 0, count);
    this.refill();
    this.#decay ??= setTimeout(() => this.#shrink(), decayMs).unref();
  }

  /** Kills the oldest parked one: another pool needs its place. */
  giveBack(): void {
    for (const entry of this.#entries.values()) if (entry.state === 'parked') return void this.#evict(entry);
  }

  /** New ones come from elsewhere now: kills what is parked, or is just being made for it, and makes as many anew. */
  renew(): void {
    this.#generation += 1;
    for (const entry of this.list()) if (entry.state === 'parked') void this.#evict(entry);
    this.refill();
  }

  /** Kills what is parked, now or once made. Resolves when all of that is dead; leased ones are their owners'. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#backoff);
    clearTimeout(this.#deferred);
    clearTimeout(this.#decay);
    clearImmediate(this.#soon);
    this.#gate.leave(this);
    const evicted = this.list()
      .filter((entry) => entry.state === 'parked')
      .map((entry) => this.#evict(entry));
    // `#closing` is assigned once this function first yields; only then may refills under way look at it.
    await Promise.all([...evicted, ...this.#refills]);
    this.#settleFull();
  }

  /** Parked or being made for it. */
  get #held(): number {
    return this.#parked + this.#refills.size;
  }

  /**
   * A replacement costs as much CPU as the run it replaces, so it waits until that is over, or past its start. In a
   * pool that runs low only the next turn of the event loop, for the hand-over goes to the kernel first.
   */
  #refillLater(): void {
    if (this.isLow) {
      this.#soon ??= setImmediate(() => {
        this.#soon = undefined;
        this.refill();
      });
      return;
    }
    this.#deferred ??= setTimeout(() => {
      this.#deferred = undefined;
      this.refill();
    }, deferMs).unref();
  }

  /** Gives back what the demand no longer calls for, until it calls for no more than when idle. */
  #shrink(): void {
    const target = this.target;
    for (const entry of this.#entries.values()) {
      if (this.#parked <= target) break;
      if (entry.state === 'parked') void this.#evict(entry);
    }
    // What the budget refused may fit now.
    this.refill();
    if (target === this.#demand.min && this.#parked === target) this.#decay = undefined;
    else this.#decay?.refresh();
  }

  async #make(): Promise<Sandbox> {
    const startedAtMs = performance.now();
    const sandbox = await this.#options.create();
    this.#demand.made(performance.now() - startedAtMs);
    return sandbox;
  }

  async #park(): Promise<void> {
    const generation = this.#generation;
    let sandbox: Sandbox;
    try {
      sandbox = await this.#make();
    } catch (error) {
      this.#gate.release(this);
      if (this.#closing) return;
      this.#tally.refillFailures += 1;
      this.#options.onError(error);
      this.#backOff();
      return;
    }
    this.#failures = 0;
    // Closed, shrunk or renewed while it was being made: it is not wanted any more.
    if (this.#closing || this.#parked >= this.target || generation !== this.#generation) {
      this.#gate.release(this);
      this.#tally.evictions += 1;
      return sandbox.kill();
    }
    this.#parked += 1;
    this.#watch({ sandbox, state: 'parked', start: 'warm' });
    this.#settleFull();
  }

  #backOff(): void {
    if (this.#backoff !== undefined || this.#closing) return;
    const delayMs = Math.min(backoffFirstMs * 2 ** (this.#failures + this.#deaths), backoffMaxMs);
    this.#failures += 1;
    this.#backoff = setTimeout(() => {
      this.#backoff = undefined;
      this.refill();
    }, delayMs);
    this.#backoff.unref();
  }

  #watch(entry: PoolEntry): void {
    this.#entries.set(entry.sandbox, entry);
    void entry.sandbox.dead.then(() => {
      if (!this.#entries.delete(entry.sandbox)) return;
      if (entry.state === 'leased') return this.refill();
      this.#drop();
      const livedMs = performance.now() - entry.sandbox.createdAtMs;
      this.#deaths = livedMs < healthyMs ? this.#deaths + 1 : 0;
      // Not at once: what kills parked sandboxes, such as a crashed zone, would kill their replacements in a hot loop.
      this.#backOff();
    });
  }

  #unpark(entry: PoolEntry): void {
    entry.state = 'leased';
    this.#drop();
  }

  #evict(entry: PoolEntry): Promise<void> {
    this.#entries.delete(entry.sandbox);
    this.#drop();
    this.#tally.evictions += 1;
    return entry.sandbox.kill();
  }

  /** One fewer is parked. */
  #drop(): void {
    this.#parked -= 1;
    this.#gate.release(this);
  }

  #isFull(): boolean {
    return this.#parked >= this.#options.min || this.#closing !== undefined;
  }

  #settleFull(): void {
    if (this.#isFull()) for (const resolve of this.#fullWaiters.splice(0)) resolve();
  }
}
