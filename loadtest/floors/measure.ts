import type { Config } from '../../services/shared/config.ts';
import type { UndoStack } from '../../services/shared/shutdown.ts';
import type { Floor } from '../report/schema.ts';
import { measureClone } from './clone-floor.ts';
import { interruptible } from './interruptible.ts';
import { measureQueue } from './queue-floor.ts';
import { measureSandboxes } from './sandbox-floor.ts';

export interface FloorsOptions {
  /** runtime/native, built. */
  nativeDir: string;
  storeDir: string;
  /** For sockets and data of the floors' own; exists, and the services' user can get through. Its owner removes it. */
  directory: string;
  /** Of the platform that is measured against them: its queue's settings, its services' user. */
  config: Config;
  /** Fewer samples, and no sandboxes without seccomp: seconds in all. */
  quick: boolean;
  onProgress: (text: string) => void;
  /** Running it interrupts the measurement, and waits until nothing of it is left. */
  undo?: UndoStack;
}

const full = {
  clone: 2000,
  sandbox: { serialCount: 300, rateCount: 1500 },
  queue: { serialCount: 1000, rateCount: 5000 },
};
const short = {
  clone: 500,
  sandbox: { serialCount: 50, rateCount: 150 },
  queue: { serialCount: 100, rateCount: 500 },
};

/**
 * What no change of ours can go below on this machine, to be measured while nothing of the platform runs beside it:
 * clone and wait, a full sandbox of node and of python, a round trip through the queue. Rejects when one of them does not
 * work or answers wrongly, and when interrupted; nothing of them is left then either.
 */
export function measureFloors(options: FloorsOptions): Promise<Floor[]> {
  return interruptible(options.undo, (signal) => measureAll(options, signal));
}

async function measureAll(options: FloorsOptions, signal: AbortSignal): Promise<Floor[]> {
  const { directory, config, quick, onProgress } = options;
  const counts = quick ? short : full;
  onProgress('clone + wait');
  const clone = await measureClone(directory, counts.clone);
  const sandboxes = await measureSandboxes({
    ...options,
    ...counts.sandbox,
    withUnfiltered: !quick,
    signal,
  });
  onProgress('BullMQ round trip');
  const queue = await measureQueue({ config, directory, ...counts.queue, signal });
  return [clone, ...sandboxes, queue];
}
