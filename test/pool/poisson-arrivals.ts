/** Numbers from 0 to 1, the same in every run (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Arrivals of a Poisson process, milliseconds. */
export function poissonArrivals(perSecond: number, seconds: number, random: () => number): number[] {
  const arrivals: number[] = [];
  for (let atMs = 0; atMs < seconds * 1000; ) {
    atMs += (-Math.log(1 - random()) * 1000) / perSecond;
    arrivals.push(atMs);
  }
  return arrivals;
}
