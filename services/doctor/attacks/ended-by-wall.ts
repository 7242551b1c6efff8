import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { Ground } from './ground.ts';
import { must } from './verdict.ts';

/** As short as it may be where a program's start takes no time, milliseconds. */
const shortestMs = 600;
const lateMs = 2_000;
const tries = 5;

/**
 * Runs what nothing but its wall time ends: with twice the time again and again, until it has said something before, for on a
 * busy machine its start alone may take longer. Every verdict must be of the wall time, and one of five in time: whoever counts may
 * be kept from it now and then, and who counts wrongly is late each time.
 */
export async function endedByWall<T>(
  ground: Ground,
  run: (wallMs: number) => Promise<T>,
  recordOf: (ran: T) => Invocation,
): Promise<T> {
  let wallMs = ground.ms(shortestMs);
  for (let late = 0; ; ) {
    const ran = await run(wallMs);
    const { outcome, stdout, usage } = recordOf(ran);
    const isWall = outcome?.status === 'timeout' && outcome.limit === 'wall';
    must(isWall, 'no verdict of its wall time', outcome);
    if (stdout === '' && wallMs < ground.netMs / 2) wallMs *= 2;
    else if ((usage?.wallMs ?? 0) < wallMs + ground.ms(lateMs)) return ran;
    else must(++late < tries, 'the verdict was late, each time', usage);
  }
}
