/** Leases that the quick estimate of the rate looks back on. */
const recentLeases = 8;
/** The slow estimate of the rate forgets 63 % in this time. */
const memoryMs = 20_000;
/** Share of leases that may find nothing parked. */
const missShare = 0.01;
/** Above this share of what refills can do, parking more no longer helps: the pool is empty whatever its target. */
const utilisationMax = 0.9;
/** Slower than one lease in a quarter of an hour is no demand. */
const forgottenPerSecond = 0.001;
/** What a sandbox takes to make, until the first is measured, and at least, milliseconds. */
const firstRefillMs = 5;
const refillMsMin = 1;
/** What took longer waited, for a zone that boots, and says nothing about the next. */
const refillMsMax = 250;
/** Weight of a measured time in the mean, as of a round trip in RFC 6298. */
const refillWeight = 1 / 8;

export interface DemandOptions {
  /** Parked when nobody leases, and at most. */
  min: number;
  max: number;
  /** Sandboxes that can be made at once. */
  servers: number;
  /** How long after a lease its replacement may be put off, milliseconds. */
  deferMs: number;
}

/**
 * How many sandboxes a pool should have parked, from what was leased and how long making one takes. Pure: time is
 * passed in, milliseconds of any monotonic clock.
 *
 * Every lease orders one replacement, which is the base-stock, or (S-1, S), policy of inventories: with S in stock and
 * N on order a lease finds one parked when N < S (Zipkin, Foundations of Inventory Management, ch. 6). N is the number
 * in a queue with `servers` servers, whose mean is rate × time (Little's law); its distribution is taken as that of
 * M/M/c (Kleinrock, Queueing Systems 1, sec. 3.5), which errs on the safe side, for making one takes a rather constant
 * time. So `need` is the least S with P(N ≤ S - 1) ≥ 99 %. `target` adds what is leased while replacements are put off.
 */
export class Demand {
  readonly #options: DemandOptions;
  /** Parked when nobody leases. */
  min: number;
  /** Times of the last leases, oldest first. */
  readonly #recent: number[] = [];
  #slowPerSecond = 0;
  #refillMs = firstRefillMs;

  constructor(options: DemandOptions) {
    this.#options = options;
    this.min = options.min;
  }

  /** Mean time that making a sandbox took lately, milliseconds. */
  get refillMs(): number {
    return this.#refillMs;
  }

  leased(nowMs: number): void {
    this.#slowPerSecond = this.#slowRate(nowMs) + 1000 / memoryMs;
    this.#recent.push(nowMs);
    if (this.#recent.length > recentLeases) this.#recent.shift();
  }

  /** One was made, parked or for a caller who waited. */
  made(durationMs: number): void {
    if (durationMs > refillMsMax) return;
    this.#refillMs += (Math.max(refillMsMin, durationMs) - this.#refillMs) * refillWeight;
  }

  /**
   * Leases a second: the larger of a quick and a slow estimate. The quick one is the rate of the last eight, so it
   * follows a rise within eight leases, whatever the rate. The slow one remembers a rush for tens of seconds.
   */
  ratePerSecond(nowMs: number): number {
    return this.#rateOver(this.#refillMs, nowMs);
  }

  /** Parked or being made, so that a lease finds one with 99 %: below this refills do not wait. At most `max`. */
  need(nowMs: number): number {
    const perSecond = this.ratePerSecond(nowMs);
    return perSecond === 0 ? 0 : Math.min(this.#options.max, this.#stockFor(perSecond));
  }

  /** Parked when all is well, from `min` to `max`. Bounded in saturation, by what refills can do. */
  target(nowMs: number): number {
    const { min } = this;
    const { servers, deferMs } = this.#options;
    const max = Math.max(min, this.#options.max);
    const perSecond = this.ratePerSecond(nowMs);
    if (perSecond === 0) return min;
    const servedPerSecond = Math.min(
      this.#rateOver(deferMs, nowMs),
      (utilisationMax * servers * 1000) / this.#refillMs,
    );
    const deferred = Math.round((servedPerSecond * deferMs) / 1000);
    return Math.min(max, Math.max(min, this.#stockFor(perSecond) + deferred));
  }

  /** What came within `spanMs` counts as no more than that many in it, however close together it came. */
  #rateOver(spanMs: number, nowMs: number): number {
    const rate = Math.max(this.#quickRate(spanMs, nowMs), this.#slowRate(nowMs));
    return rate < forgottenPerSecond ? 0 : rate;
  }

  #quickRate(spanMs: number, nowMs: number): number {
    const [first, last] = [this.#recent[0], this.#recent.at(-1)];
    if (first === undefined || last === undefined || nowMs - last > memoryMs) return 0;
    return ((this.#recent.length - 1) * 1000) / Math.max(nowMs - first, spanMs);
  }

  /** An exponentially decaying count of the leases, divided by its memory. */
  #slowRate(nowMs: number): number {
    const last = this.#recent.at(-1);
    return last === undefined ? 0 : this.#slowPerSecond * Math.exp((last - nowMs) / memoryMs);
  }

  #stockFor(perSecond: number): number {
    const { servers } = this.#options;
    const utilisation = Math.min(utilisationMax, (perSecond * this.#refillMs) / 1000 / servers);
    const load = utilisation * servers;
    // Weights of 0, 1, 2 … on order; from `servers` on they are a geometric series.
    let weight = 1;
    let total = 0;
    for (let n = 0; n < servers; n++) {
      total += weight;
      weight *= load / (n + 1);
    }
    total += weight / (1 - utilisation);
    let stock = 1;
    let covered = 1;
    for (weight = 1; covered < total * (1 - missShare); stock++) {
      weight *= load / Math.min(stock, servers);
      covered += weight;
    }
    return stock;
  }
}
