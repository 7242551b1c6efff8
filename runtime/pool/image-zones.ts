import type { Image } from '../image/image.ts';
import type { FunctionInit } from '../interpreters/program-job.ts';
import { type Sandbox, SandboxLostError, type SandboxSpec, type Zone } from '../sandbox/sandbox.ts';
import type { RefillGate } from './refill-gate.ts';
import type { Rotation } from './rotating-zone.ts';
import type { ListedSandbox, PoolPurpose } from './spec-pools.ts';
import type { GroupStats } from './stats.ts';
import { Tally } from './stats.ts';
import type { Lease } from './warm-pool.ts';
import { type ShelvedZone, ZoneShelf } from './zone-shelf.ts';

/** What a zone boots from. */
export interface ZoneRequest {
  interpreter: Zone['interpreter'];
  /** Digest hex of the layers below the interpreter, uppermost first. */
  layers: readonly string[];
  /** PATH, in which the image's own `node` or `python3` is looked up. */
  searchPath: string;
  /** The function that its zygote initialises. */
  init?: FunctionInit | undefined;
  /** It is a base image of the platform's own. */
  isTrusted?: boolean;
  /** What its zygote may have otherwise, bytes. */
  zygoteMemoryBytes?: number;
  /** Ends a boot that is under way. */
  signal?: AbortSignal;
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
  rotation: Rotation;
  onError: (error: unknown, what: string) => void;
}

const commands = { node: 'node', python: 'python3', exec: 'exec' } as const;

/**
 * Zones whose zygote is an image's own interpreter. Opened at their first use and never again by themselves: what does
 * not boot, or goes at once, is refused for a while with the reason.
 */
export class ImageZones {
  readonly #options: ImageZonesOptions;
  readonly #shelf: ZoneShelf;
  readonly #tally = new Tally();

  constructor(options: ImageZonesOptions) {
    this.#options = options;
    this.#shelf = new ZoneShelf({
      ...options,
      tally: this.#tally,
      backoffMs: { first: 1_000, max: 60_000 },
      onNoSuccessor: options.onError,
    });
  }

  async lease(
    interpreter: Zone['interpreter'],
    image: Image & { searchPath: string },
    spec: SandboxSpec,
    purpose: PoolPurpose,
  ): Promise<Omit<Lease, 'start'> & { start: Lease['start'] | 'cold' }> {
    const key = `${interpreter} ${image.digest}`;
    const entry = this.#shelf.get(key) ?? this.#open(key, interpreter, image);
    const wasOpen = entry.opened !== undefined;
    const lease = await this.#shelf.lease(entry, spec, purpose);
    if (wasOpen) return lease;
    this.#tally.coldLeases += 1;
    return { ...lease, start: 'cold' };
  }

  list(): ListedSandbox[] {
    return this.#shelf.list();
  }

  living(): Iterable<Sandbox> {
    return this.#tally.living;
  }

  stats(): Promise<GroupStats> {
    return this.#tally.stats(this.#shelf.stats());
  }

  drain(imageDigest: string): Promise<void> {
    return this.#shelf.drain(imageDigest);
  }

  close(): Promise<void> {
    return this.#shelf.closeAll();
  }

  #open(key: string, interpreter: Zone['interpreter'], image: Image & { searchPath: string }): ShelvedZone {
    const refusal = this.#shelf.refusalOf(key);
    if (refusal) throw refusal;
    this.#makeRoom();
    return this.#shelf.open(key, image.digest, async (signal) => {
      try {
        return await this.#options.openZone({
          interpreter,
          layers: image.layers,
          searchPath: image.searchPath,
          signal,
        });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new SandboxLostError(
          `cannot start "${commands[interpreter]}" of image ${image.digest}: ${reason}`,
          {
            cause: error,
          },
        );
      }
    });
  }

  #makeRoom(): void {
    if (this.#shelf.size < this.#options.max) return;
    const oldest = this.#shelf.idleLongest();
    if (!oldest) {
      throw new SandboxLostError(
        `the interpreters of ${this.#options.max} images run on this node, and all are in use`,
      );
    }
    void this.#shelf.close(oldest);
  }
}
