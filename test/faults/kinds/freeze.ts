import type { Fault } from './fault.ts';
import { inZone } from './kill-in-zone.ts';
import { livingPart } from './kill-part.ts';

/** SIGSTOP, and nobody continues it: the platform has to notice. */
export const freezeAgent: Fault = {
  name: 'freeze an agent',
  async strike(platform, random) {
    const { pid, zone } = await inZone(platform, 'agent', random());
    try {
      process.kill(pid, 'SIGSTOP');
    } catch {
      return `process ${pid} of ${zone}, which had just ended`;
    }
    return `process ${pid} of ${zone}`;
  },
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
