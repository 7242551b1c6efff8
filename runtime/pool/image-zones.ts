import type { Image } from '../image/image.ts';
import { SandboxLostError, type SandboxSpec, type Zone } from '../sandbox/sandbox.ts';
import type { RefillGate } from './refill-gate.ts';
import { type ListedSandbox, type PoolPurpose, SpecPools } from './spec-pools.ts';
import type { Lease } from './warm-pool.ts';

const backoffFirstMs = 1_000;
const backoffMaxMs = 60_000;
/** A zone that lived so long was healthy. */
const healthyMs = 10_000;

/** What a zone boots from. */
export interface ZoneRequest {
  interpreter: Zone['interpreter'];
  /** Digest hex of the layers below the interpreter, uppermost first. */
  layers: readonly string[];
  /** PATH, in which the image's own `node` or `python3` is looked up. */
  searchPath: string;
}

export interface ImageZonesOptions {
  /** Rejects in bounded time when the interpreter does not come up. */
  openZone: (request: ZoneRequest) => Promise<Zone>;
  /** Zones open at once; the one that has been idle longest makes room for another. */
  max: number;
  spareTarget: number;
  gate: RefillGate;
  /** A zone that nobody has used for so long is closed, milliseconds. */
  idleMs: number;
  onError: (error: unknown, what: string) => void;
}

interface ImageZone {
  imageDigest: string;
  zone: Promise<Zone>;
  isOpen: boolean;
  pools: SpecPools;
  /** Leases under way. */
  leasing: number;
  usedAtMs: number;
  idle: NodeJS.Timeout;
}

interface Failure {
  error: Error;
  count: number;
  untilMs: number;
}

const commands = { node: 'node', python: 'python3', exec: 'exec' } as const;

/**
 * Zones whose zygote is an image's own interpreter. Opened at their first use and never again by themselves: what does
 * not boot, or goes at once, is refused for a while with the reason.
 */
export class ImageZones {
  readonly #options: ImageZonesOptions;
  /** Insertion order does not matter; `usedAtMs` does. */
  readonly #zones = new Map<string, ImageZone>();
  readonly #failures = new Map<string, Failure>();

  constructor(options: ImageZonesOptions) {
    this.#options = options;
  }

  async lease(
    interpreter: Zone['interpreter'],
    image: Image & { searchPath: string },
    spec: SandboxSpec,
    purpose: PoolPurpose,
  ): Promise<Omit<Lease, 'start'> & { start: Lease['start'] | 'cold' }> {
    const key = `${interpreter} ${image.digest}`;
    const entry = this.#zones.get(key) ?? this.#open(key, interpreter, image);
    const { isOpen } = entry;
    entry.leasing += 1;
    try {
      await entry.zone;
      const lease = await entry.pools.lease(spec, purpose);
      return isOpen ? lease : { ...lease, start: 'cold' };
    } finally {
      entry.leasing -= 1;
      entry.usedAtMs = performance.now();
      entry.idle.refresh();
    }
  }

  list(): ListedSandbox[] {
    return [...this.#zones.values()].flatMap(({ pools }) => pools.list());
  }

  async drain(imageDigest: string): Promise<void> {
    const drained = [...this.#zones].filter(([, entry]) => entry.imageDigest === imageDigest);
    await Promise.all(
      drained.map(async ([key, entry]) => {
        await entry.pools.drain(imageDigest);
        await this.#close(key, entry);
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#zones].map(([key, entry]) => this.#close(key, entry)));
  }

  #open(key: string, interpreter: Zone['interpreter'], image: Image & { searchPath: string }): ImageZone {
    const failure = this.#failures.get(key);
    if (failure && performance.now() < failure.untilMs) throw failure.error;
    this.#makeRoom();
    const { openZone, spareTarget, gate, idleMs, onError } = this.#options;
    const opening = openZone({ interpreter, layers: image.layers, searchPath: image.searchPath });
    const zone = opening.catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SandboxLostError(
        `cannot start "${commands[interpreter]}" of image ${image.digest}: ${reason}`,
        { cause: error },
      );
    });
    const entry: ImageZone = {
      imageDigest: image.digest,
      zone,
      isOpen: false,
      pools: new SpecPools({
        create: async (spec) => (await zone).create(spec),
        spareTarget,
        gate,
        idleMs,
        onError: (error) => onError(error, key),
      }),
      leasing: 0,
      usedAtMs: performance.now(),
      idle: setTimeout(() => {
        if (isInUse(entry)) entry.idle.refresh();
        else void this.#close(key, entry);
      }, idleMs).unref(),
    };
    this.#zones.set(key, entry);
    void this.#watch(key, entry);
    return entry;
  }

  async #watch(key: string, entry: ImageZone): Promise<void> {
    let error: Error;
    try {
      const zone = await entry.zone;
      entry.isOpen = true;
      const openedAtMs = performance.now();
      await zone.closed;
      if (performance.now() - openedAtMs >= healthyMs) this.#failures.delete(key);
      error = new SandboxLostError(`the zone of ${key} went by itself`);
    } catch (failure) {
      error = failure as Error;
    }
    // Closed by us.
    if (this.#zones.get(key) !== entry) return;
    this.#options.onError(error, key);
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const delayMs = Math.min(backoffFirstMs * 2 ** (count - 1), backoffMaxMs);
    this.#failures.set(key, { error, count, untilMs: performance.now() + delayMs });
    await this.#close(key, entry);
  }

  async #close(key: string, entry: ImageZone): Promise<void> {
    if (this.#zones.get(key) !== entry) return;
    this.#zones.delete(key);
    clearTimeout(entry.idle);
    await entry.pools.close();
    await (await entry.zone.catch(() => undefined))?.close();
  }

  #makeRoom(): void {
    if (this.#zones.size < this.#options.max) return;
    const idle = [...this.#zones].filter(([, entry]) => !isInUse(entry));
    const [oldest] = idle.sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs);
    if (!oldest) {
      throw new SandboxLostError(
        `the interpreters of ${this.#options.max} images run on this node, and all are in use`,
      );
    }
    void this.#close(...oldest);
  }
}

function isInUse({ leasing, pools }: ImageZone): boolean {
  return leasing > 0 || pools.isBusy;
}
