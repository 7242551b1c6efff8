import type { Random } from './random.ts';

/** When requests are to be sent, milliseconds after the load began, rising. Lazy: a soak has many. */
export type Schedule = Iterable<number>;

/** Evenly spaced. */
export function* constantSchedule(ratePerSecond: number, durationMs: number): Schedule {
  const count = Math.floor((ratePerSecond * durationMs) / 1000);
  for (let index = 0; index < count; index++) yield (index * 1000) / ratePerSecond;
}

/** Independent callers: the gaps are exponentially distributed, so requests come in clusters. */
export function* poissonSchedule(ratePerSecond: number, durationMs: number, random: Random): Schedule {
  const gapMs = () => (-Math.log(1 - random()) * 1000) / ratePerSecond;
  for (let atMs = gapMs(); atMs < durationMs; atMs += gapMs()) yield atMs;
}

/** All in the same instant. */
export function burstSchedule(count: number): Schedule {
  return new Array<number>(count).fill(0);
}
