import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../../loadtest/generators/random.ts';
import { type ZoneProcess, zoneKeepers } from '../../../loadtest/machine/instance.ts';
import type { FaultyPlatform } from '../platform.ts';
import type { Fault } from './fault.ts';

const foundWithinMs = 60_000;
const triesMax = 10;

type Leaf = 'agent' | 'zygote';

/** SIGKILL for an agent, whose zone ends with it, or for a zygote. */
export function killInZone(leaf: Leaf): Fault {
  return {
    name: `kill ${leaf === 'agent' ? 'an agent' : 'a zygote'}`,
    strike: (platform, random) => signalInZone(platform, leaf, random, 'SIGKILL'),
  };
}

/** Resolves with whom it has struck. One that has just ended is none. */
export async function signalInZone(
  platform: FaultyPlatform,
  leaf: Leaf,
  random: Random,
  signal: 'SIGKILL' | 'SIGSTOP',
): Promise<string> {
  for (let tries = 0; tries < triesMax; tries++) {
    const { pid, zone } = await inZone(platform, leaf, random());
    try {
      process.kill(pid, signal);
      return `process ${pid} of ${zone}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  throw new Error(`each ${leaf} of ${triesMax} that were chosen had just ended`);
}

/** The process that stands `at` (0 to 1) among those of its kind. Waits while there is none. */
async function inZone({ config }: FaultyPlatform, leaf: Leaf, at: number): Promise<ZoneProcess> {
  for (const until = performance.now() + foundWithinMs; performance.now() < until; ) {
    const found = await zoneKeepers(config.instance, leaf);
    const chosen = found[Math.floor(at * found.length)];
    if (chosen) return chosen;
    await delay(50);
  }
  throw new Error(`there was no ${leaf} for ${foundWithinMs} ms`);
}
