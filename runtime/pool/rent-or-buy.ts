/** A zygote's boot without its initialisation, milliseconds of one core: about what an interpreter takes to start. */
const bootMs = 100;
/** Functions remembered at once. */
const maxKeys = 4096;

interface Account {
  spentMs: number;
  lastMs: number;
}

/**
 * When a function is worth a zygote of its own: ski rental. Each ordinary start pays for its initialisation, the rent. A
 * zygote costs its boot and one initialisation more, the price, and frees all later starts of it. How many will come, nobody
 * knows. Who rents until the rent has reached the price, and then buys, pays at most twice what he would have paid had he
 * known: with fewer calls he has paid the least there is, with more he has paid the price a second time. (The first call
 * never finds a zygote, so both pay its rent.) A zygote is kept only while it is used, so each time of use is a season of
 * its own: after a pause that would have ended the zygote, the account begins anew.
 */
export class RentOrBuy {
  /** Least recently paid first. */
  readonly #accounts = new Map<string, Account>();
  readonly #seasonMs: number;

  constructor(seasonMs: number) {
    this.#seasonMs = seasonMs;
  }

  /** An ordinary start has spent `initMs` on initialisation: whether to buy now. */
  pay(key: string, initMs: number): boolean {
    const now = performance.now();
    const known = this.#accounts.get(key);
    const before = known && now - known.lastMs <= this.#seasonMs ? known.spentMs : 0;
    const spentMs = before + initMs;
    this.#accounts.delete(key);
    this.#accounts.set(key, { spentMs, lastMs: now });
    if (this.#accounts.size > maxKeys) {
      const [oldest] = this.#accounts.keys();
      this.#accounts.delete(oldest as string);
    }
    return spentMs >= bootMs + initMs;
  }

  /** Bought: should it be gone one day, the account begins anew. */
  settle(key: string): void {
    this.#accounts.delete(key);
  }
}
