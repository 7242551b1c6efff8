import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import type { Sandbox, Zone } from '../sandbox/sandbox.ts';

export interface PoolStats {
  parked: number;
  leased: number;
  /** Parked ones that the demand calls for. */
  target: number;
  /** Leases a second. */
  ratePerSecond: number;
  /** Mean time that making one takes, milliseconds. */
  refillMs: number;
}

/**
 * Where a sandbox comes from: a runtime's own zone, that of an image with an interpreter of its own, that of a function,
 * or an OCI runtime. A closed set, so that it can be a label of a metric.
 */
export type PoolGroup = RuntimeName | 'image' | 'function' | 'oci';

/** Of one group. What is marked as a count began at zero with the worker and never goes down. */
export interface GroupStats {
  /** Open pools: one for each kind of sandbox in use. */
  pools: number;
  /** Parked sandboxes, and how many the demand calls for. */
  parked: number;
  target: number;
  leased: number;
  /** Leases a second. */
  ratePerSecond: number;
  /** Count of leases that found one parked, and of those that did not. */
  warmLeases: number;
  forkLeases: number;
  /** Count of the latter that had to wait for a zone to boot. */
  coldLeases: number;
  /** Count of parked sandboxes that were given back. */
  evictions: number;
  /** Count of sandboxes that could not be made ahead of their lease. */
  refillFailures: number;
  /** Count of sandboxes made, and of those of which nothing is left. */
  sandboxesCreated: number;
  sandboxesGone: number;
  /** Count of sandboxes that died and left a cgroup. They are gone once their zone is. */
  residues: number;
  /** Open zones, those that are on their way out after a rotation included. */
  zones: number;
  zonesRetired: number;
  /** Count of zones that have opened, also for a rotation. */
  zoneBoots: number;
  /** Count of zones that were replaced by their successor. */
  zoneRotations: number;
  /** Count of zones that did not open, or went by themselves. */
  zoneFailures: number;
  /** What the zygotes have now, and what the kernel spends on their forks, bytes. */
  zygoteMemoryBytes: number;
}

export interface SourceStats {
  groups: Record<PoolGroup, GroupStats>;
  /** Parked sandboxes of all groups or being made for it, and how many there may be. */
  parkedHeld: number;
  parkedMax: number;
}

/** An agent that does not answer within this time is left out, milliseconds. */
const answerWithinMs = 1_000;

/** What a group has done so far; its parts count here. */
export class Tally {
  warmLeases = 0;
  forkLeases = 0;
  coldLeases = 0;
  evictions = 0;
  refillFailures = 0;
  sandboxesCreated = 0;
  sandboxesGone = 0;
  residues = 0;
  zoneBoots = 0;
  zoneRotations = 0;
  zoneFailures = 0;
  zonesRetired = 0;
  /** Successors that boot: each will retire a zone. */
  successors = 0;
  readonly #zones = new Set<Zone>();
  readonly #living = new Set<Sandbox>();

  /** Those that were made and of which something is left. */
  get living(): Iterable<Sandbox> {
    return this.#living;
  }

  /** `zone`: what ends with it is no longer left. */
  made(sandbox: Sandbox, zone?: Zone): void {
    this.sandboxesCreated += 1;
    this.#living.add(sandbox);
    void sandbox.dead.then(async ({ cgroup }) => {
      if (cgroup) {
        this.residues += 1;
        // Without a zone, until the platform starts again.
        await (zone?.closed ?? new Promise(() => {}));
      }
      this.sandboxesGone += 1;
      this.#living.delete(sandbox);
    });
  }

  opened(zone: Zone): void {
    this.zoneBoots += 1;
    this.#zones.add(zone);
    void zone.closed.then(() => this.#zones.delete(zone));
  }

  async stats(pools: readonly PoolStats[]): Promise<GroupStats> {
    const sum = (of: (pool: PoolStats) => number) => pools.reduce((total, pool) => total + of(pool), 0);
    const memory = await Promise.all([...this.#zones].map(memoryOf));
    return {
      pools: pools.length,
      parked: sum(({ parked }) => parked),
      target: sum(({ target }) => target),
      leased: sum(({ leased }) => leased),
      ratePerSecond: sum(({ ratePerSecond }) => ratePerSecond),
      warmLeases: this.warmLeases,
      forkLeases: this.forkLeases,
      coldLeases: this.coldLeases,
      evictions: this.evictions,
      refillFailures: this.refillFailures,
      sandboxesCreated: this.sandboxesCreated,
      sandboxesGone: this.sandboxesGone,
      residues: this.residues,
      zones: this.#zones.size,
      zonesRetired: this.zonesRetired,
      zoneBoots: this.zoneBoots,
      zoneRotations: this.zoneRotations,
      zoneFailures: this.zoneFailures,
      zygoteMemoryBytes: memory.reduce((total, bytes) => total + bytes, 0),
    };
  }
}

async function memoryOf(zone: Zone): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, answerWithinMs, undefined);
  });
  // It may go at any time.
  const memory = await Promise.race([zone.memory().catch(() => undefined), late]);
  clearTimeout(timer);
  return memory?.memoryBytes ?? 0;
}
