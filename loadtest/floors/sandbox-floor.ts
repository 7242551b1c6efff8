import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { Floor } from '../report/schema.ts';
import { spreadOf } from '../report/statistics.ts';
import { type LoadRuntime, leastProgram, loadRuntimes } from '../workloads/snippets.ts';
import { startLauncher } from './bench-launcher.ts';
import { rateWithin, serialLatency } from './timing.ts';

interface Options {
  nativeDir: string;
  storeDir: string;
  /** For the launcher's socket. */
  directory: string;
  serialCount: number;
  rateCount: number;
  onProgress: (text: string) => void;
  signal: AbortSignal;
}

const warmUpCount = 10;
const inFlight = 8;
const rateMaxMs = 20_000;

/**
 * Full sandboxes without HTTP, queue and pool: created, run, and gone. From a launcher of our own, which is gone when
 * this settles.
 */
export async function measureSandboxes(options: Options): Promise<Floor[]> {
  const { nativeDir, storeDir, directory } = options;
  const store = openStore(storeDir);
  const launcher = await startLauncher({ nativeDir, layersDir: store.layersDir, directory });
  try {
    const floors: Floor[] = [];
    for (const runtime of loadRuntimes) {
      options.onProgress(`sandbox ${runtime}`);
      floors.push(await measure(runtime));
    }
    return floors;
  } finally {
    await launcher.stop();
  }

  async function measure(runtime: LoadRuntime): Promise<Floor> {
    const { layers } = await store.resolve(runtime);
    const zone = await openZone({
      launcherSocket: launcher.socket,
      interpreter: runtime,
      layers,
      searchPath: defaultSearchPath,
      isTrusted: true,
    });
    const { program, stdout } = leastProgram(runtime);
    const limits = defaultLimits();

    async function once() {
      options.signal.throwIfAborted();
      const sandbox = await zone.create(scratchSpec(layers));
      const report = await sandbox.run({ program, limits, stdin: new Uint8Array() });
      // The report may come before all of it is gone, and what is left to do then is a part of its price.
      await sandbox.dead;
      const outcome = outcomeOf(report, program, limits);
      const text = Buffer.from(report.stdout).toString();
      if (outcome.status !== 'ok' || text !== stdout) {
        throw new Error(
          `cannot measure ${runtime}: ${JSON.stringify(outcome)}, stdout ${JSON.stringify(text)}`,
        );
      }
    }

    for (let i = 0; i < warmUpCount; i++) await once();
    const samples = await serialLatency(options.serialCount, once);
    const ratePerSecond = await rateWithin({ inFlight, maxCount: options.rateCount, maxMs: rateMaxMs }, once);
    await zone.close();
    return {
      name: `sandbox ${runtime}`,
      latencyMs: spreadOf(samples),
      ratePerSecond,
      concurrency: inFlight,
    };
  }
}
