import type { Fault } from './fault.ts';
import { livingPart } from './kill-part.ts';

/** Who runs an invocation and who remembers it, at once. */
export const killWorkerAndRedis: Fault = {
  name: 'kill worker and redis',
  async strike(platform) {
    const pids = [await livingPart(platform, 'worker'), await livingPart(platform, 'redis')];
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    return `processes ${pids.join(' and ')}`;
  },
};
