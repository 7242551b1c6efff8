import type { Fault } from './fault.ts';
import { fillDisk } from './fill-disk.ts';
import { fillRedis } from './fill-redis.ts';
import { freezeAgent, freezePart } from './freeze.ts';
import { killWorkerAndRedis } from './kill-both.ts';
import { killInZone } from './kill-in-zone.ts';
import { killPart } from './kill-part.ts';

export const kills: readonly Fault[] = [
  killPart('gateway'),
  killPart('worker'),
  killPart('launcher'),
  killInZone('agent'),
  killInZone('zygote'),
  killPart('redis'),
];

/** What is not a kill of one, and takes longer to be over. */
export const others: readonly Fault[] = [
  killWorkerAndRedis,
  fillDisk,
  fillRedis,
  freezeAgent,
  freezePart('worker'),
  freezePart('redis'),
];
