import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface DoomedWorker {
  /** Resolves when it has begun to run a program. */
  running(): Promise<void>;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
}

/** A worker in a process of its own, to be killed. */
export function startDoomedWorker(redisUrl: string, concurrency = 1): DoomedWorker {
  const script = new URL('doomed-worker.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--import', 'tsx', script, redisUrl, `${concurrency}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  return {
    async running() {
      await Promise.race([once(child.stdout, 'data'), exited]);
      const end = child.exitCode ?? child.signalCode;
      if (end !== null) throw new Error(`the doomed worker ended with ${end}`);
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
