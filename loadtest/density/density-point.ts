import { setTimeout as delay } from 'node:timers/promises';
import type { Density } from '../report/schema.ts';
import { availableBytes, settledMemory } from '../sharing/cgroup-memory.ts';
import type { ParkedPopulation } from './parked-population.ts';

/** The kernel frees memory of what has ended a little later, milliseconds. */
const settleMs = 500;

/**
 * Parks sandboxes until `alive` of them live at once, reads the memory that they hold, gives each its one job and checks
 * its answer. None is left afterwards.
 */
export async function densityPoint(
  population: ParkedPopulation,
  alive: number,
  instance: string,
): Promise<Density['points'][number]> {
  await delay(settleMs);
  const [availableBefore, chargedBefore] = [await availableBytes(), await settledMemory(instance, 0)];
  const parked = await population.grow(alive);
  await delay(settleMs);
  const [available, charged] = [await availableBytes(), await settledMemory(instance, 0)];
  const answering = await population.askAll();
  const unavailableBytes = availableBefore - available;
  return {
    alive: parked,
    answering,
    unavailableBytes,
    cgroupBytes: charged.usedBytes - chargedBefore.usedBytes,
    perSandboxBytes: unavailableBytes / Math.max(1, parked),
  };
}
