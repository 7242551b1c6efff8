import type { Ground } from './ground.ts';

/** As short as it may be where a program's start takes no time, milliseconds. */
const shortestMs = 600;

/**
 * Runs what nothing but its wall time ends: with twice the time again and again, until it has got as far as it is to get
 * before, for on a busy machine its start alone may take longer. What has not got there in a net's time is handed over all the
 * same. Resolves with how it ended, and with the wall time that it had.
 */
export async function endedByWall<T>(
  ground: Ground,
  run: (wallMs: number) => Promise<T>,
  hasGotThere: (ran: T) => boolean,
): Promise<{ ran: T; wallMs: number }> {
  for (let wallMs = ground.ms(shortestMs); ; wallMs *= 2) {
    const ran = await run(wallMs);
    if (hasGotThere(ran) || wallMs >= ground.netMs / 2) return { ran, wallMs };
  }
}
