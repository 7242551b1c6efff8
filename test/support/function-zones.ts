import { defaultSearchPath, type FunctionInit } from '../../runtime/interpreters/program-job.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { type RunReport, scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { useLayers } from './layers.ts';
import { patientLimits } from './limits.ts';
import { storeDir, useZones } from './zones.ts';

type Runtime = 'node' | 'python';

interface Called {
  outcome: Outcome;
  /** Of an outcome `ok`. */
  // biome-ignore lint/suspicious/noExplicitAny: any JSON, as the test's own handler returns it
  value: any;
  stdout: string;
  stderr: string;
  report: RunReport;
}

export interface TestFunction {
  zone: Zone;
  /** Digest hex, uppermost first. */
  layers: readonly string[];
  /** In a sandbox made for it; resolves when that is gone. */
  call(event?: unknown, limits?: Partial<Limits>): Promise<Called>;
}

/** Functions whose initialisation runs in zones of their own, and in the runtime's for comparison. */
export function useFunctionZones() {
  const layers = useLayers();
  const zones = useZones({ layersDir: layers.layersDir });
  const bases = new Map<Runtime, Promise<string[]>>();
  const baseOf = (runtime: Runtime) => {
    const known = bases.get(runtime) ?? layers.addBase(runtime, storeDir);
    bases.set(runtime, known);
    return known;
  };
  const plain = new Map<Runtime, Promise<Zone>>();

  async function open(runtime: Runtime, stack: readonly string[], init?: FunctionInit): Promise<Zone> {
    return openZone({
      launcherSocket: zones.socket(),
      interpreter: runtime,
      layers: stack,
      searchPath: defaultSearchPath,
      init,
    });
  }

  async function layersWith(runtime: Runtime, files: Record<string, string>): Promise<string[]> {
    const script = Object.entries(files)
      .map(
        ([path, text]) =>
          `mkdir -p "$(dirname function/${path})"; echo ${Buffer.from(text).toString('base64')} | base64 -d > function/${path}`,
      )
      .join('\n');
    return [await layers.add(`mkdir function\n${script}`), ...(await baseOf(runtime))];
  }

  function callsIn(zone: Zone, stack: readonly string[], init: FunctionInit): TestFunction {
    return {
      zone,
      layers: stack,
      async call(event = null, changed = {}) {
        const sandbox = await zone.create(scratchSpec(stack));
        const program: Program = {
          kind: 'handler',
          handler: init.handler,
          eventJson: JSON.stringify(event),
          context: {
            invocationId: 'inv_1',
            functionName: 'f',
            functionVersion: '1',
            deadlineMs: Date.now() + 9_000,
          },
          env: { ...init.env },
        };
        const limits = patientLimits(changed);
        const report = await sandbox.run({ program, limits, stdin: new Uint8Array() });
        await sandbox.dead;
        const outcome = outcomeOf(report, program, limits);
        return {
          outcome,
          value: outcome.status === 'ok' ? outcome.result : undefined,
          stdout: Buffer.from(report.stdout).toString(),
          stderr: Buffer.from(report.stderr).toString(),
          report,
        };
      },
    };
  }

  return {
    ...zones,
    /** Rejects when its initialisation makes it unfit. */
    async initialised(runtime: Runtime, files: Record<string, string>, settings: Partial<FunctionInit> = {}) {
      const init = { handler: 'index.handler', env: {}, ...settings };
      const stack = await layersWith(runtime, files);
      return callsIn(await open(runtime, stack, init), stack, init);
    },
    /** The same without a zygote of its own: each sandbox initialises. */
    async ordinary(runtime: Runtime, files: Record<string, string>, settings: Partial<FunctionInit> = {}) {
      const init = { handler: 'index.handler', env: {}, ...settings };
      const stack = await layersWith(runtime, files);
      const zone = plain.get(runtime) ?? baseOf(runtime).then((base) => open(runtime, base));
      plain.set(runtime, zone);
      return callsIn(await zone, stack, init);
    },
  };
}
