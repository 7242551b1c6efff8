import type { Fault } from './fault.ts';
import { signalInZone } from './kill-in-zone.ts';
import { livingPart } from './kill-part.ts';

/** SIGSTOP, and nobody continues it: the platform has to notice. */
export const freezeAgent: Fault = {
  name: 'freeze an agent',
  strike: (platform, random) => signalInZone(platform, 'agent', random, 'SIGSTOP'),
};

export function freezePart(part: 'gateway' | 'worker' | 'launcher' | 'redis'): Fault {
  return {
    name: `freeze the ${part}`,
    async strike(platform) {
      const pid = await livingPart(platform, part);
      process.kill(pid, 'SIGSTOP');
      return `process ${pid}`;
    },
  };
}
