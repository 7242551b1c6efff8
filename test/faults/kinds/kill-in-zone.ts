import { setTimeout as delay } from 'node:timers/promises';
import { type ZoneProcess, zoneProcesses } from '../../../loadtest/machine/instance.ts';
import type { FaultyPlatform } from '../platform.ts';
import type { Fault } from './fault.ts';

const foundWithinMs = 60_000;

/** SIGKILL for an agent, whose zone ends with it, or for a zygote. */
export function killInZone(leaf: 'agent' | 'zygote'): Fault {
  return {
    name: `kill ${leaf === 'agent' ? 'an agent' : 'a zygote'}`,
    async strike(platform, random) {
      const { pid, zone } = await inZone(platform, leaf, random());
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        return `process ${pid} of ${zone}, which had just ended`;
      }
      return `process ${pid} of ${zone}`;
    },
  };
}

/** The process that stands `at` (0 to 1) among those of its kind. Waits while there is none. */
export async function inZone(
  { config }: FaultyPlatform,
  leaf: 'agent' | 'zygote',
  at: number,
): Promise<ZoneProcess> {
  for (const until = performance.now() + foundWithinMs; performance.now() < until; ) {
    const found = (await zoneProcesses(config.instance)).filter(
      (one) => one.leaf === leaf && (leaf === 'zygote' || one.name === 'agent'),
    );
    const chosen = found[Math.floor(at * found.length)];
    if (chosen) return chosen;
    await delay(50);
  }
  throw new Error(`there was no ${leaf} for ${foundWithinMs} ms`);
}
