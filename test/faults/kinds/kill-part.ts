import { setTimeout as delay } from 'node:timers/promises';
import type { FaultyPlatform } from '../platform.ts';
import type { Fault } from './fault.ts';

const partWithinMs = 60_000;

/** SIGKILL for a child of the supervisor. */
export function killPart(part: 'gateway' | 'worker' | 'launcher' | 'redis'): Fault {
  return {
    name: `kill the ${part}`,
    async strike(platform) {
      const pid = await livingPart(platform, part);
      process.kill(pid, 'SIGKILL');
      return `process ${pid}`;
    },
  };
}

/** Waits while it is being started again. */
export async function livingPart(platform: FaultyPlatform, part: string): Promise<number> {
  for (const until = performance.now() + partWithinMs; performance.now() < until; ) {
    const pid = platform.pids()[part];
    if (pid !== undefined && isAlive(pid)) return pid;
    await delay(20);
  }
  throw new Error(`there was no ${part} for ${partWithinMs} ms`);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
