import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import type { Sandbox, SandboxSpec } from '../sandbox/sandbox.ts';
import { type ParkingBudget, RefillGate } from './refill-gate.ts';
import type { PoolStats, Tally } from './stats.ts';
import { type Lease, type PoolState, WarmPool } from './warm-pool.ts';

/** What the sandboxes of a pool are for: shown by lists, and counted when an image is to go. */
export interface PoolPurpose {
  /** Manifest of the image below them. */
  imageDigest: string;
  /** Absent where a plain image's command runs. */
  runtime?: RuntimeName | undefined;
}

export interface ListedSandbox extends PoolPurpose {
  sandbox: Sandbox;
  pool: PoolState;
  start: 'warm' | 'fork' | 'cold';
}

export interface SpecPoolsOptions {
  create: (spec: SandboxSpec) => Promise<Sandbox>;
  /** Sandboxes kept parked for each spec in use, more with its demand, and for how long after its last lease. */
  spareTarget: number;
  idleMs: number;
  /** Shared with the other pools of the node. Its own, without a budget, unless given. */
  gate?: RefillGate;
  /** Shared with some of those, beside the gate's own. */
  budget?: ParkingBudget;
  tally?: Tally;
  onError: (error: unknown) => void;
}

/** Specs come from requests: pools that are not in use beyond this many are closed before their time. */
const maxPools = 256;

interface Entry {
  purpose: PoolPurpose;
  pool: WarmPool;
  /** Absent for a pool that stays. */
  idle?: NodeJS.Timeout;
  /** Of a pool that else goes when it is idle. */
  isKept?: boolean;
}

/** The pools of one zone: one for each spec that is in use. */
export class SpecPools {
  readonly #options: SpecPoolsOptions;
  readonly #gate: RefillGate;
  /** Least recently leased first. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: SpecPoolsOptions) {
    this.#options = options;
    this.#gate = options.gate ?? new RefillGate({ parkedMax: Number.POSITIVE_INFINITY });
  }

  /** Opens a pool that stays open and keeps at least `min` parked; resolves when they are. */
  async keep(spec: SandboxSpec, purpose: PoolPurpose, min: number): Promise<void> {
    const pool = this.#newPool(spec, min, min);
    this.#entries.set(keyOf(spec, purpose), { purpose, pool });
    await pool.full();
  }

  lease(spec: SandboxSpec, purpose: PoolPurpose): Promise<Lease> {
    const key = keyOf(spec, purpose);
    const existing = this.#entries.get(key);
    if (existing) {
      if (existing.idle) {
        existing.idle.refresh();
        this.#entries.delete(key);
        this.#entries.set(key, existing);
      }
      return existing.pool.lease();
    }
    return this.#open(spec, purpose).pool.lease();
  }

  /** Of a spec, keeps at least so many parked as long as it is not told otherwise; 0: as its demand has it. */
  keepWarm(spec: SandboxSpec, purpose: PoolPurpose, count: number): void {
    const existing = this.#entries.get(keyOf(spec, purpose));
    if (!existing && count === 0) return;
    const entry = existing ?? this.#open(spec, purpose);
    entry.isKept = count > 0;
    entry.pool.keep(count);
  }

  /** Parked now. */
  parked(spec: SandboxSpec, purpose: PoolPurpose): number {
    return this.#entries.get(keyOf(spec, purpose))?.pool.parked ?? 0;
  }

  #open(spec: SandboxSpec, purpose: PoolPurpose): Entry {
    this.#makeRoom();
    const key = keyOf(spec, purpose);
    const pool = this.#newPool(spec, this.#options.spareTarget, 0);
    const idle = setTimeout(() => {
      if (pool.leased > 0 || entry.isKept) return void idle.refresh();
      this.#entries.delete(key);
      void pool.close();
    }, this.#options.idleMs).unref();
    const entry: Entry = { purpose, pool, idle };
    this.#entries.set(key, entry);
    return entry;
  }

  /** Whether a sandbox is leased. */
  get isBusy(): boolean {
    return [...this.#entries.values()].some(({ pool }) => pool.leased > 0);
  }

  list(): ListedSandbox[] {
    return [...this.#entries.values()].flatMap(({ pool, purpose }) =>
      pool.list().map(({ sandbox, state, start }) => ({ ...purpose, sandbox, pool: state, start })),
    );
  }

  /** Demand and stock of every open pool. */
  stats(): (PoolPurpose & PoolStats)[] {
    return [...this.#entries.values()].map(({ pool, purpose }) => ({ ...purpose, ...pool.stats() }));
  }

  /** Sandboxes are made by another zone now: those that the old one has parked go. */
  renew(): void {
    for (const { pool } of this.#entries.values()) pool.renew();
  }

  /** Closes the pools of an image, and resolves when the last sandbox on it is dead. They are listed until then. */
  async drain(imageDigest: string): Promise<void> {
    const drained = [...this.#entries].filter(([, { purpose }]) => purpose.imageDigest === imageDigest);
    await Promise.all(
      drained.map(async ([key, { pool, idle }]) => {
        clearTimeout(idle);
        await pool.close();
        await Promise.all(pool.list().map(({ sandbox }) => sandbox.dead));
        this.#entries.delete(key);
      }),
    );
  }

  /** Closes all pools, which ends what is parked; leased ones are their owners'. */
  async close(): Promise<void> {
    const closed = [...this.#entries.values()];
    this.#entries.clear();
    for (const { idle } of closed) clearTimeout(idle);
    await Promise.all(closed.map(({ pool }) => pool.close()));
  }

  #makeRoom(): void {
    if (this.#entries.size < maxPools) return;
    for (const [key, { pool, idle, isKept }] of this.#entries) {
      if (idle === undefined || isKept || pool.leased > 0) continue;
      clearTimeout(idle);
      this.#entries.delete(key);
      void pool.close();
      return;
    }
  }

  #newPool(spec: SandboxSpec, min: number, reserved: number): WarmPool {
    const { create, onError, tally, budget } = this.#options;
    // Whoever keeps none when idle wants none parked at all.
    const max = min === 0 ? 0 : Number.POSITIVE_INFINITY;
    const gate = this.#gate;
    return new WarmPool({
      create: () => create(spec),
      min,
      max,
      reserved,
      gate,
      onError,
      ...(tally && { tally }),
      ...(budget && { budget }),
    });
  }
}

/**
 * The digest says which layers there are, but for a code layer on top. Images with the same layers are told apart: one
 * may go while the other stays.
 */
function keyOf(
  { layers, user, workingDir, scratch, secrets = false }: SandboxSpec,
  { imageDigest }: PoolPurpose,
): string {
  const who = user === undefined ? '' : `${user.uid}:${user.gid}:${user.groups.join(',')}`;
  return `${imageDigest} ${layers.length} ${layers[0]} ${who} ${scratch} ${secrets} ${workingDir}`;
}
