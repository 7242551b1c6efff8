import { join } from 'node:path';
import { openStore } from '../runtime/image/store.ts';
import { defaultSearchPath } from '../runtime/interpreters/program-job.ts';
import { outcomeOf } from '../runtime/sandbox/outcome.ts';
import { scratchSpec } from '../runtime/sandbox/sandbox.ts';
import { openZone } from '../runtime/zygote/zone.ts';
import { defaultLimits } from '../sdk/contract/limits.ts';
import type { Program } from '../sdk/contract/program.ts';
import { startLauncher } from './bench-launcher.ts';
import { type BenchRuntime, snippets } from './snippets.ts';
import { rateOf, type Spread, spreadOf } from './statistics.ts';

export interface SandboxFloor {
  /** Create, run, gone; one after another, milliseconds. */
  serialMs: Spread;
  ratePerSecond: number;
}

interface Options {
  nativeDir: string;
  storeDir: string;
  /** For the launcher's socket. */
  directory: string;
  runtimes: readonly BenchRuntime[];
  serialCount: number;
  rateCount: number;
}

/** Full sandboxes without HTTP and queue, from a launcher of our own that is gone when this settles. */
export async function measureSandboxes(options: Options): Promise<Record<BenchRuntime, SandboxFloor>> {
  const { nativeDir, storeDir, directory } = options;
  const layersDir = join(storeDir, 'layers');
  const launcher = await startLauncher({ nativeDir, layersDir, directory });
  try {
    const entries: [BenchRuntime, SandboxFloor][] = [];
    for (const runtime of options.runtimes) entries.push([runtime, await measure(runtime)]);
    return Object.fromEntries(entries) as Record<BenchRuntime, SandboxFloor>;
  } finally {
    await launcher.stop();
  }

  async function measure(runtime: BenchRuntime): Promise<SandboxFloor> {
    const image = await openStore(storeDir).resolve(runtime);
    const zone = await openZone({
      launcherSocket: launcher.socket,
      interpreter: runtime,
      layers: image.layers,
      searchPath: defaultSearchPath,
    });
    const { code, entry, stdout } = snippets[runtime];
    const program: Program = {
      kind: 'snippet',
      files: [{ path: entry, content: code, encoding: 'utf8' }],
      entry,
      args: [],
      env: {},
    };
    const limits = defaultLimits();

    async function once() {
      const sandbox = await zone.create(scratchSpec(image.layers));
      const report = await sandbox.run({ program, limits, stdin: new Uint8Array() });
      await sandbox.dead;
      const outcome = outcomeOf(report, program, limits);
      const text = Buffer.from(report.stdout).toString();
      if (outcome.status !== 'ok' || text !== stdout) {
        throw new Error(
          `cannot measure ${runtime}: ${JSON.stringify(outcome)}, stdout ${JSON.stringify(text)}`,
        );
      }
    }

    for (let i = 0; i < 10; i++) await once();
    const samples: number[] = [];
    for (let i = 0; i < options.serialCount; i++) {
      const startedAt = performance.now();
      await once();
      samples.push(performance.now() - startedAt);
    }
    const ratePerSecond = await rateOf(options.rateCount, 8, once);
    await zone.close();
    return { serialMs: spreadOf(samples), ratePerSecond };
  }
}
