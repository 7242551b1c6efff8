import { SandboxLostError, type SandboxSpec, type Zone } from '../sandbox/sandbox.ts';
import type { ParkingBudget, RefillGate } from './refill-gate.ts';
import { openRotatingZone, type Rotation } from './rotating-zone.ts';
import { type ListedSandbox, type PoolPurpose, SpecPools } from './spec-pools.ts';
import type { PoolStats, Tally } from './stats.ts';
import type { Lease } from './warm-pool.ts';

/** A zone that lived so long was healthy. */
const healthyMs = 10_000;
/** Keys come from requests: the oldest failures beyond so many are forgotten. */
const maxFailures = 1024;

export interface ZoneShelfOptions {
  spareTarget: number;
  /** Of all pools of the node. */
  gate: RefillGate;
  /** Of the pools of this shelf, beside that of the node. */
  budget?: ParkingBudget;
  /** A zone that nobody has used for so long is closed, milliseconds. */
  idleMs: number;
  /** How long a key is refused after its first failure in a row, and at most, milliseconds. */
  backoffMs: { first: number; max: number };
  rotation: Rotation;
  tally: Tally;
  /** Told of a zone that did not open or went by itself, and of a sandbox that could not be made ahead. */
  onError: (error: unknown, key: string) => void;
  /** Told of a successor that did not open: the zone serves on. */
  onNoSuccessor: (error: unknown, key: string) => void;
}

export interface ShelvedZone {
  readonly key: string;
  readonly imageDigest: string;
  readonly zone: Promise<Zone>;
  /** Ends its boot. */
  readonly stop: AbortController;
  /** Once it is open. */
  opened: Zone | undefined;
  readonly pools: SpecPools;
  /** Leases under way. */
  leasing: number;
  usedAtMs: number;
  /** Stays, also when nobody uses it. */
  isKept: boolean;
  readonly idle: NodeJS.Timeout;
}

interface Failure {
  error: Error;
  count: number;
  untilMs: number;
}

/**
 * Zones that come with use and go without it, each with its pools. One that does not open, or goes by itself, is not
 * opened again for a while.
 */
export class ZoneShelf {
  readonly #options: ZoneShelfOptions;
  /** Insertion order does not matter; `usedAtMs` does. */
  readonly #zones = new Map<string, ShelvedZone>();
  readonly #failures = new Map<string, Failure>();
  /** Failed ones in whose earlier zones something still runs, until that is over. */
  readonly #ending = new Map<ShelvedZone, Promise<void>>();

  constructor(options: ZoneShelfOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#zones.size;
  }

  get(key: string): ShelvedZone | undefined {
    return this.#zones.get(key);
  }

  all(): ShelvedZone[] {
    return [...this.#zones.values()];
  }

  /** Why the key is refused at present. */
  refusalOf(key: string): Error | undefined {
    const failure = this.#failures.get(key);
    return failure && performance.now() < failure.untilMs ? failure.error : undefined;
  }

  /** There must be none of this key. `boot` is called again for each successor. */
  open(key: string, imageDigest: string, boot: (signal: AbortSignal) => Promise<Zone>): ShelvedZone {
    const { spareTarget, gate, budget, idleMs, rotation, tally, onError, onNoSuccessor } = this.#options;
    const stop = new AbortController();
    const zone = openRotatingZone({
      open: boot,
      stop,
      rotation,
      tally,
      onRotated: () => entry.pools.renew(),
      onError: (error) => onNoSuccessor(error, key),
    });
    const entry: ShelvedZone = {
      key,
      imageDigest,
      zone,
      opened: undefined,
      stop,
      pools: new SpecPools({
        create: async (spec) => (await zone).create(spec),
        spareTarget,
        gate,
        idleMs,
        tally,
        ...(budget && { budget }),
        onError: (error) => onError(error, key),
      }),
      leasing: 0,
      usedAtMs: performance.now(),
      isKept: false,
      idle: setTimeout(() => {
        // A boot has an end of its own, and a reason.
        if (!entry.opened || entry.isKept || isInUse(entry)) entry.idle.refresh();
        else void this.close(entry);
      }, idleMs).unref(),
    };
    this.#zones.set(key, entry);
    void this.#watch(entry);
    return entry;
  }

  /** Rejects as the opening does. */
  async lease(entry: ShelvedZone, spec: SandboxSpec, purpose: PoolPurpose): Promise<Lease> {
    entry.leasing += 1;
    try {
      await entry.zone;
      return await entry.pools.lease(spec, purpose);
    } finally {
      entry.leasing -= 1;
      entry.usedAtMs = performance.now();
      entry.idle.refresh();
    }
  }

  /** Of those that nothing runs in, the one that was used longest ago. */
  idleLongest(): ShelvedZone | undefined {
    return this.all()
      .filter((entry) => entry.opened !== undefined && !entry.isKept && !isInUse(entry))
      .sort((a, b) => a.usedAtMs - b.usedAtMs)[0];
  }

  /**
   * Takes it away for a fault of its own: it is refused for a while. What runs in a predecessor of its zone goes on, and
   * all of it is closed once that is dead.
   */
  async fail(entry: ShelvedZone, error: Error): Promise<void> {
    if (this.#zones.get(entry.key) !== entry) return;
    this.#options.onError(error, entry.key);
    const { first, max } = this.#options.backoffMs;
    const count = (this.#failures.get(entry.key)?.count ?? 0) + 1;
    const untilMs = performance.now() + Math.min(first * 2 ** (count - 1), max);
    this.#failures.delete(entry.key);
    this.#failures.set(entry.key, { error, count, untilMs });
    for (const key of this.#failures.keys()) {
      if (this.#failures.size <= maxFailures) break;
      this.#failures.delete(key);
    }
    this.#zones.delete(entry.key);
    clearTimeout(entry.idle);
    entry.stop.abort();
    const ending = this.#end(entry).finally(() => this.#ending.delete(entry));
    this.#ending.set(entry, ending);
    await ending;
  }

  async #end(entry: ShelvedZone): Promise<void> {
    await entry.pools.drain(entry.imageDigest);
    await entry.pools.close();
    await closeZone(entry);
  }

  async close(entry: ShelvedZone): Promise<void> {
    if (this.#zones.get(entry.key) !== entry) return;
    this.#zones.delete(entry.key);
    clearTimeout(entry.idle);
    entry.stop.abort();
    await entry.pools.close();
    await closeZone(entry);
  }

  async closeAll(): Promise<void> {
    const ending = [...this.#ending].map(async ([entry, ended]) => {
      await closeZone(entry);
      await ended;
    });
    await Promise.all([...ending, ...this.all().map((entry) => this.close(entry))]);
  }

  /** Closes the zones on an image when the last sandbox on it is dead. */
  async drain(imageDigest: string): Promise<void> {
    const drained = this.all().filter((entry) => entry.imageDigest === imageDigest);
    const ending = [...this.#ending].filter(([entry]) => entry.imageDigest === imageDigest);
    await Promise.all([
      ...ending.map(([, ended]) => ended),
      ...drained.map(async (entry) => {
        await entry.pools.drain(imageDigest);
        await this.close(entry);
      }),
    ]);
  }

  list(): ListedSandbox[] {
    return this.#withPools().flatMap(({ pools }) => pools.list());
  }

  /** Of every pool. */
  stats(): PoolStats[] {
    return this.#withPools().flatMap(({ pools }) => pools.stats());
  }

  #withPools(): ShelvedZone[] {
    return [...this.all(), ...this.#ending.keys()];
  }

  async #watch(entry: ShelvedZone): Promise<void> {
    let error: Error;
    try {
      const zone = await entry.zone;
      entry.opened = zone;
      entry.usedAtMs = performance.now();
      entry.idle.refresh();
      const openedAtMs = performance.now();
      await zone.closed;
      if (performance.now() - openedAtMs >= healthyMs) this.#failures.delete(entry.key);
      error = new SandboxLostError(`the zone of ${entry.key} went by itself`);
    } catch (failure) {
      error = failure as Error;
    }
    // Nothing to do if it was closed by us.
    await this.fail(entry, error);
  }
}

async function closeZone({ zone }: ShelvedZone): Promise<void> {
  await (await zone.catch(() => undefined))?.close();
}

export function isInUse({ leasing, pools }: ShelvedZone): boolean {
  return leasing > 0 || pools.isBusy;
}
