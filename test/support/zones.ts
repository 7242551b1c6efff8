import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { OpenInput } from '../../runtime/sandbox/open-input.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import {
  type Residue,
  type RunReport,
  type Sandbox,
  scratchSpec,
  type Zone,
} from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program, SourceFile } from '../../sdk/contract/program.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { startLauncher, type TestLauncher } from './launcher.ts';
import { patientLimits } from './limits.ts';

export const storeDir = process.env.ONCEBOX_STORE_DIR ?? '/var/lib/oncebox/store';
const interpreters = { node: 'node', python: 'python', bash: 'exec' } as const;
const entries = { node: 'index.js', python: 'main.py', bash: 'main.sh' } as const;

interface SnippetOptions {
  limits?: Partial<Limits>;
  stdin?: string | Uint8Array;
  env?: Record<string, string>;
  args?: string[];
  files?: SourceFile[];
  entry?: string;
  /** Called when the program first prints something; its stdin ends when this has resolved. */
  meanwhile?: (sandbox: Sandbox) => Promise<void>;
}

interface Ran {
  outcome: Outcome;
  stdout: string;
  stderr: string;
  report: RunReport;
  residue: Residue;
}

export interface TestZones {
  /** Process id of the launcher. */
  launcherPid(): number;
  /** Host path of the launcher's socket. */
  socket(): string;
  /** A zone of this runtime, opened at its first use. */
  zone(runtime: RuntimeName): Promise<Zone>;
  park(runtime: RuntimeName): Promise<Sandbox>;
  /** Runs a snippet in a sandbox made for it, and waits until that is gone. */
  run(runtime: RuntimeName, code: string, options?: SnippetOptions): Promise<Ran>;
}

/**
 * Resolves when the agent has looked at the writable layer. Whatever is there, it is due to look within 50 ms; and before it answers
 * anybody it does what is due.
 */
export async function untilLookedAt(sandbox: Sandbox): Promise<void> {
  await delay(100);
  await sandbox.stat();
}

/** A launcher of the test file's own, with real zones; all of it gone afterwards. */
export function useZones({ layersDir = join(storeDir, 'layers') } = {}): TestZones {
  const zones = new Map<RuntimeName, Promise<Zone>>();
  let launcher: TestLauncher;
  let directory: string;
  const store = openStore(storeDir);
  const layersOf = async (runtime: RuntimeName) => (await store.resolve(runtime)).layers;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'oncebox-test-zones-'));
    launcher = await startLauncher(directory, layersDir);
  });
  afterAll(async () => {
    await launcher.stop();
    await rm(directory, { recursive: true });
  });

  const tools: TestZones = {
    launcherPid: () => launcher.pid,
    socket: () => launcher.socket,
    zone(runtime) {
      let zone = zones.get(runtime);
      if (zone === undefined) {
        zone = store.resolve(runtime).then((image) =>
          openZone({
            launcherSocket: tools.socket(),
            interpreter: interpreters[runtime],
            layers: image.layers,
            searchPath: defaultSearchPath,
          }),
        );
        zones.set(runtime, zone);
      }
      return zone;
    },
    async park(runtime) {
      return (await tools.zone(runtime)).create(scratchSpec(await layersOf(runtime)));
    },
    async run(runtime, code, options = {}) {
      const sandbox = await tools.park(runtime);
      const program: Program = {
        kind: 'snippet',
        files: options.files ?? [{ path: entries[runtime], content: code, encoding: 'utf8' }],
        entry: options.entry ?? entries[runtime],
        args: options.args ?? [],
        env: options.env ?? {},
      };
      const limits = patientLimits(options.limits);
      const stdin = Buffer.from(options.stdin ?? '');
      const { meanwhile } = options;
      const input = meanwhile && new OpenInput();
      let held: Promise<void> | undefined;
      const onOutput = () => {
        held ??= meanwhile?.(sandbox).finally(() => void input?.end());
        held?.catch(() => {}); // told below
      };
      const report = await sandbox.run({ program, limits, stdin, ...(input && { input, onOutput }) });
      const residue = await sandbox.dead;
      await held;
      return {
        outcome: outcomeOf(report, program, limits),
        stdout: Buffer.from(report.stdout).toString(),
        stderr: Buffer.from(report.stderr).toString(),
        report,
        residue,
      };
    },
  };
  return tools;
}
