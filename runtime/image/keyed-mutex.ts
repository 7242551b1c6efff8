/** Mutual exclusion by name within this process. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /**
   * Resolves, with what unlocks, when nobody else holds any of `keys`. They are taken in sorted order, so that two who
   * want the same ones never wait for each other.
   */
  async lock(keys: Iterable<string>): Promise<() => void> {
    const unlocks: (() => void)[] = [];
    for (const key of [...new Set(keys)].sort()) unlocks.push(await this.#lockOne(key));
    return () => {
      for (const unlock of unlocks.splice(0)) unlock();
    };
  }

  async #lockOne(key: string): Promise<() => void> {
    const before = this.#tails.get(key);
    let unlock = () => {};
    const mine = new Promise<void>((resolve) => {
      unlock = resolve;
    });
    const tail = (before ?? Promise.resolve()).then(() => mine);
    this.#tails.set(key, tail);
    await before;
    return () => {
      unlock();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
  }
}
