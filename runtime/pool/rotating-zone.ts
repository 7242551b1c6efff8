import { type Sandbox, SandboxLostError, type SandboxSpec, type Zone } from '../sandbox/sandbox.ts';
import type { Tally } from './stats.ts';

/** Share of both bounds by which zones differ, so that those that opened together do not rotate together. */
const jitter = 0.2;
/** Zones on their way out at once, of one that rotates: runs may be longer than a busy zone's turn. */
const retiredMax = 2;
/** The same of a whole group: the launcher has room for so many zones and no more. */
const groupRetiredMax = 6;
/** When a successor is tried again after it did not open, or had to wait for others, milliseconds. */
const retryMs = 30_000;

/** When a zone's successor is due. */
export interface Rotation {
  /** Forks that one zygote makes, at most. */
  forksMax: number;
  /** How long it serves, milliseconds. */
  ageMs: number;
}

export interface RotatingZoneOptions {
  /** Boots a zone; called for the first and for each successor. */
  open: (signal: AbortSignal) => Promise<Zone>;
  /** Ends a boot that is under way; aborted when the zone is over. */
  stop: AbortController;
  rotation: Rotation;
  /** Sandboxes are made by a successor from now on: those that its predecessor has parked are to go. */
  onRotated: () => void;
  /** Told why there is no successor, for the time being. */
  onError: (error: unknown) => void;
  tally: Tally;
}

/** A zone with what of it lives. */
interface Turn {
  readonly zone: Zone;
  forks: number;
  /** Sandboxes that are being made or are not dead. */
  living: number;
  isRetired: boolean;
}

/**
 * A zone whose zygote is replaced after so many forks or so long, for all forks of one share the layout of its address
 * space and its hash seeds. The next is booted first. Then sandboxes come from that, and the old zone is closed when the
 * last of its own is dead. A successor that does not boot leaves the old one serving. Resolves with the first boot.
 */
export async function openRotatingZone(options: RotatingZoneOptions): Promise<Zone> {
  return new RotatingZone(options, await boot(options));
}

async function boot({ open, stop, tally }: RotatingZoneOptions): Promise<Zone> {
  try {
    const zone = await open(stop.signal);
    tally.opened(zone);
    return zone;
  } catch (error) {
    tally.zoneFailures += 1;
    throw error;
  }
}

class RotatingZone implements Zone {
  readonly closed: Promise<void>;
  readonly #options: RotatingZoneOptions;
  readonly #retired = new Set<Turn>();
  #settleClosed!: () => void;
  #turn!: Turn;
  #forksMax = 0;
  #isDue = false;
  #alarm: NodeJS.Timeout | undefined;
  #successor: Promise<void> | undefined;

  constructor(options: RotatingZoneOptions, first: Zone) {
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    this.#begin(first, 0);
  }

  get interpreter(): Zone['interpreter'] {
    return this.#turn.zone.interpreter;
  }

  get initMs(): number | undefined {
    return this.#turn.zone.initMs;
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    const { tally } = this.#options;
    const turn = this.#turn;
    turn.forks += 1;
    turn.living += 1;
    if (turn.forks >= this.#forksMax && !this.#isDue) this.#rotate();
    const gone = () => {
      turn.living -= 1;
      this.#release(turn);
    };
    try {
      const sandbox = await turn.zone.create(spec);
      tally.made(sandbox, turn.zone);
      void sandbox.dead.then(gone);
      return sandbox;
    } catch (error) {
      gone();
      throw error;
    }
  }

  memory() {
    return this.#turn.zone.memory();
  }

  async close(): Promise<void> {
    this.#end();
    await Promise.all([this.#turn, ...this.#retired].map(({ zone }) => zone.close()));
    await this.#successor;
  }

  /** `uncounted`: forks that take the place of its predecessor's. Else pools that park more than `forksMax` never rest. */
  #begin(zone: Zone, uncounted: number): void {
    const { forksMax, ageMs } = this.#options.rotation;
    const share = 1 - jitter * Math.random();
    const turn = { zone, forks: 0, living: 0, isRetired: false };
    this.#turn = turn;
    this.#forksMax = uncounted + Math.ceil(forksMax * share);
    this.#isDue = false;
    if (Number.isFinite(ageMs)) this.#rotateIn(ageMs * share);
    void zone.closed.then(() => {
      if (turn.isRetired) {
        this.#retired.delete(turn);
        this.#options.tally.zonesRetired -= 1;
        if (this.#isDue) this.#rotate();
        return;
      }
      if (!this.#isOver) this.#options.tally.zoneFailures += 1;
      // Those on their way out go on, and close by themselves.
      this.#end();
      this.#settleClosed();
    });
  }

  #rotateIn(delayMs: number): void {
    clearTimeout(this.#alarm);
    this.#alarm = setTimeout(() => this.#rotate(), delayMs).unref();
  }

  /** Now, or when one of those that are on their way out is gone. */
  #rotate(): void {
    this.#isDue = true;
    if (this.#successor || this.#isOver || this.#retired.size >= retiredMax) return;
    const { zonesRetired, successors } = this.#options.tally;
    if (zonesRetired + successors >= groupRetiredMax) {
      this.#rotateIn(retryMs);
      return;
    }
    this.#successor = this.#replace().finally(() => {
      this.#successor = undefined;
    });
  }

  async #replace(): Promise<void> {
    const { tally, onRotated, onError } = this.#options;
    let zone: Zone;
    tally.successors += 1;
    try {
      zone = await boot(this.#options);
    } catch (error) {
      if (this.#isOver) return;
      const reason = error instanceof Error ? error.message : String(error);
      onError(
        new SandboxLostError(`the zygote serves on, for its successor did not boot: ${reason}`, {
          cause: error,
        }),
      );
      return this.#rotateIn(retryMs);
    } finally {
      tally.successors -= 1;
    }
    // Closed, or gone by itself, meanwhile: whoever has to do with that opens another.
    if (this.#isOver) return zone.close();
    const old = this.#turn;
    old.isRetired = true;
    this.#retired.add(old);
    tally.zonesRetired += 1;
    tally.zoneRotations += 1;
    this.#begin(zone, old.living);
    onRotated();
    this.#release(old);
  }

  #release(turn: Turn): void {
    if (turn.isRetired && turn.living === 0) void turn.zone.close();
  }

  get #isOver(): boolean {
    return this.#options.stop.signal.aborted;
  }

  #end(): void {
    this.#options.stop.abort();
    clearTimeout(this.#alarm);
  }
}
