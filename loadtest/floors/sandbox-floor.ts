import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import type { Floor } from '../report/schema.ts';
import { spreadOf } from '../report/statistics.ts';
import { type LoadRuntime, leastProgram, loadRuntimes } from '../workloads/snippets.ts';
import { startLauncher } from './bench-launcher.ts';
import { rateWithin, serialLatency } from './timing.ts';

interface Options {
  nativeDir: string;
  storeDir: string;
  /** For the launchers' sockets. */
  directory: string;
  serialCount: number;
  rateCount: number;
  /** Whether to measure without seccomp, too. Builds the native code for it, which takes some ten seconds. */
  withUnfiltered: boolean;
  onProgress: (text: string) => void;
  signal: AbortSignal;
}

const warmUpCount = 10;
const inFlight = 8;
const rateMaxMs = 20_000;
/** With filters and without in turns, so that a noisy second hits both alike. */
const rounds = 5;

/**
 * Full sandboxes without HTTP, queue and pool: created, run, and gone; and the same by native code that loads no seccomp
 * filter, if that is wanted. From launchers of our own, which are gone when this settles.
 */
export async function measureSandboxes(options: Options): Promise<Floor[]> {
  const { nativeDir, storeDir, directory, onProgress } = options;
  const { layersDir, resolve } = openStore(storeDir);
  const undo = createUndoStack();
  async function start(buildDir: string): Promise<string> {
    const launcher = await startLauncher({ buildDir, layersDir, directory });
    undo.push(() => launcher.stop());
    return launcher.socket;
  }
  try {
    const launchers = [{ suffix: '', socket: await start(join(nativeDir, 'build')) }];
    if (options.withUnfiltered) {
      await promisify(execFile)('make', ['-s', '-C', nativeDir, 'unfiltered'], { signal: options.signal });
      launchers.push({ suffix: ', no seccomp', socket: await start(join(nativeDir, 'build-unfiltered')) });
    }
    const floors: Floor[] = [];
    for (const runtime of loadRuntimes) {
      onProgress(`sandbox ${runtime}`);
      const { layers } = await resolve(runtime);
      const all: Timed[] = [];
      for (const { suffix, socket } of launchers)
        all.push(await openTimed(`sandbox ${runtime}${suffix}`, socket, runtime, layers, options.signal));
      await timeInTurns(all, options);
      for (const timed of all) {
        await timed.zone.close();
        floors.push(floorOf(timed));
      }
    }
    return floors;
  } finally {
    await undo.run();
  }
}

interface Timed {
  name: string;
  zone: Zone;
  once: () => Promise<void>;
  /** Milliseconds. */
  samples: number[];
  /** A second, of each round. */
  rates: number[];
}

async function openTimed(
  name: string,
  launcherSocket: string,
  runtime: LoadRuntime,
  layers: readonly string[],
  signal: AbortSignal,
): Promise<Timed> {
  const zone = await openZone({
    launcherSocket,
    interpreter: runtime,
    layers,
    searchPath: defaultSearchPath,
    isTrusted: true,
  });
  const { program, stdout } = leastProgram(runtime);
  const limits = defaultLimits();

  async function once() {
    signal.throwIfAborted();
    const sandbox = await zone.create(scratchSpec(layers));
    const report = await sandbox.run({ program, limits, stdin: new Uint8Array() });
    // The report may come before all of it is gone, and what is left to do then is a part of its price.
    await sandbox.dead;
    const outcome = outcomeOf(report, program, limits);
    const text = Buffer.from(report.stdout).toString();
    if (outcome.status !== 'ok' || text !== stdout) {
      throw new Error(`cannot measure ${name}: ${JSON.stringify(outcome)}, stdout ${JSON.stringify(text)}`);
    }
  }

  for (let i = 0; i < warmUpCount; i++) await once();
  return { name, zone, once, samples: [], rates: [] };
}

async function timeInTurns(all: readonly Timed[], options: Options): Promise<void> {
  const count = Math.ceil(options.serialCount / rounds);
  const bounds = { inFlight, maxCount: Math.ceil(options.rateCount / rounds), maxMs: rateMaxMs / rounds };
  for (let round = 0; round < rounds; round++) {
    for (const { once, samples } of all) samples.push(...(await serialLatency(count, once)));
    for (const { once, rates } of all) rates.push(await rateWithin(bounds, once));
  }
}

function floorOf({ name, samples, rates }: Timed): Floor {
  const ratePerSecond = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  return { name, latencyMs: spreadOf(samples), ratePerSecond, concurrency: inFlight };
}
