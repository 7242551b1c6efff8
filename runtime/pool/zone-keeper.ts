import { setTimeout as delay } from 'node:timers/promises';
import { type Sandbox, SandboxLostError, type SandboxSpec, type Zone } from '../sandbox/sandbox.ts';

const backoffFirstMs = 50;
const backoffMaxMs = 5_000;
/** A zone that lived so long was healthy: when it goes, the next is opened at once. */
const healthyMs = 10_000;

export interface ZoneKeeperOptions {
  /** The signal ends a boot that is under way. */
  open: (signal: AbortSignal) => Promise<Zone>;
  /** Told of every zone that could not be opened or went by itself. */
  onError: (error: unknown) => void;
}

/** Keeps one zone open: when it crashes the next is opened right away, with back-off when that goes on. */
export class ZoneKeeper {
  readonly #options: ZoneKeeperOptions;
  readonly #stop = new AbortController();
  #zone: Promise<Zone>;
  #isOpen = false;
  #failures = 0;
  #boots = 0;

  constructor(options: ZoneKeeperOptions) {
    this.#options = options;
    this.#zone = this.#open(0);
  }

  /** Whether a sandbox can be had without waiting for a zone to boot. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Zones opened so far: a change across a wait means that the wait was for a boot. */
  get boots(): number {
    return this.#boots;
  }

  /** Waits for the zone to boot when there is none. Rejects when it cannot be opened. */
  async create(spec: SandboxSpec): Promise<Sandbox> {
    const zone = await this.#zone;
    try {
      return await zone.create(spec);
    } catch (error) {
      if (!(error instanceof SandboxLostError) || this.#stop.signal.aborted) throw error;
      // No program has been handed over yet, so asking the next zone repeats nothing. An error that the zone
      // survives ends here at its second occurrence.
      await Promise.race([zone.closed, delay(100, undefined, { ref: false })]);
      return (await this.#zone).create(spec);
    }
  }

  /** Closes the zone, which kills every sandbox in it. */
  async close(): Promise<void> {
    this.#stop.abort();
    const zone = await this.#zone.catch(() => undefined);
    await zone?.close();
  }

  #open(delayMs: number): Promise<Zone> {
    const opening = this.#boot(delayMs);
    opening.then(
      (zone) => {
        this.#isOpen = true;
        this.#boots += 1;
        const openedAt = performance.now();
        void zone.closed.then(() => {
          this.#isOpen = false;
          if (performance.now() - openedAt >= healthyMs) this.#failures = 0;
          this.#reopen(new SandboxLostError('the zone went by itself'));
        });
      },
      (error: unknown) => this.#reopen(error),
    );
    return opening;
  }

  async #boot(delayMs: number): Promise<Zone> {
    if (delayMs > 0) await delay(delayMs, undefined, { signal: this.#stop.signal, ref: false });
    this.#stop.signal.throwIfAborted();
    const zone = await this.#options.open(this.#stop.signal);
    if (this.#stop.signal.aborted) {
      await zone.close();
      throw new SandboxLostError('the zone was closed while it was being opened');
    }
    return zone;
  }

  #reopen(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#options.onError(error);
    const delayMs =
      this.#failures === 0 ? 0 : Math.min(backoffFirstMs * 2 ** (this.#failures - 1), backoffMaxMs);
    this.#failures += 1;
    this.#zone = this.#open(delayMs);
  }
}
