import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { createOciSandbox } from '../../runtime/sandbox/oci/oci-sandbox.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import {
  type RunReport,
  type Sandbox,
  type SandboxSpec,
  scratchSpec,
  type Zone,
} from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import type { Isolation } from '../../sdk/contract/isolation.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program } from '../../sdk/contract/program.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { startLauncher, type TestLauncher } from '../support/launcher.ts';
import { useLayers } from '../support/layers.ts';
import { patientLimits } from '../support/limits.ts';
import { storeDir } from '../support/zones.ts';
import { type RunOptions, snippetOf } from './programs.ts';

const interpreters = { node: 'node', python: 'python', bash: 'exec' } as const;

interface Ran {
  outcome: Outcome;
  stdout: string;
  stderr: string;
  report: RunReport;
}

/** A way to make sandboxes, as the conformance cases ask for them. */
export interface Driver {
  readonly isolation: Isolation;
  readonly launcher: () => TestLauncher;
  /** A launcher beside the one that all share, to be killed. */
  startDoomedLauncher(instance?: string): Promise<TestLauncher>;
  /** Layers of a runtime's base image. */
  base(runtime: RuntimeName): Promise<readonly string[]>;
  /** A layer of what the script makes, above those of a base image. */
  above(runtime: RuntimeName, script: string): Promise<readonly string[]>;
  create(runtime: RuntimeName, spec: SandboxSpec, limits: Limits, launcher?: TestLauncher): Promise<Sandbox>;
  /** A snippet in a sandbox made for it, until that is gone. */
  snippet(runtime: RuntimeName, code: string, options?: RunOptions): Promise<Ran>;
  handler(runtime: 'node' | 'python', code: string, event?: unknown, options?: RunOptions): Promise<Ran>;
  /** What an image would run, as that user. */
  command(argv: string[], spec: SandboxSpec, options?: RunOptions): Promise<Ran>;
}

/** A launcher of the test file's own, with layers of its own; all gone afterwards. */
export function useDriver(isolation: Isolation): Driver {
  const layers = useLayers();
  const zones = new Map<RuntimeName, Promise<Zone>>();
  const bases = new Map<RuntimeName, Promise<string[]>>();
  let directory: string;
  let launcher: TestLauncher;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'oncebox-test-conformance-'));
    launcher = await startLauncher(directory, layers.layersDir);
  });
  afterAll(async () => {
    await launcher.stop();
    await rm(directory, { recursive: true });
  });

  const open = async (runtime: RuntimeName, { socket }: TestLauncher) =>
    openZone({
      launcherSocket: socket,
      interpreter: interpreters[runtime],
      layers: await driver.base(runtime),
      searchPath: defaultSearchPath,
    });

  async function create(runtime: RuntimeName, spec: SandboxSpec, limits: Limits, from: TestLauncher) {
    if (isolation !== 'native')
      return createOciSandbox({
        launcherSocket: from.socket,
        wall: isolation,
        interpreter: interpreters[runtime],
        searchPath: defaultSearchPath,
        spec,
        limits,
      });
    if (from !== launcher) return (await open(runtime, from)).create(spec);
    const zone = zones.get(runtime) ?? open(runtime, launcher);
    zones.set(runtime, zone);
    return (await zone).create(spec);
  }

  async function run(runtime: RuntimeName, spec: SandboxSpec, program: Program, options: RunOptions) {
    const limits = patientLimits(options.limits);
    const { stdin = '', captureChanges = false } = options;
    const secrets = Object.entries(options.secrets ?? {}).map(([name, text]) => ({
      name,
      value: Buffer.from(text),
    }));
    const sandbox = await create(runtime, { ...spec, secrets: secrets.length > 0 }, limits, launcher);
    const report = await sandbox.run({ program, limits, stdin: Buffer.from(stdin), captureChanges, secrets });
    await sandbox.dead;
    return {
      outcome: outcomeOf(report, program, limits),
      stdout: Buffer.from(report.stdout).toString(),
      stderr: Buffer.from(report.stderr).toString(),
      report,
    };
  }

  const driver: Driver = {
    isolation,
    launcher: () => launcher,
    startDoomedLauncher: async (instance) =>
      startLauncher(await mkdtemp(join(directory, 'doomed-')), layers.layersDir, 0, { instance }),
    base(runtime) {
      const base = bases.get(runtime) ?? layers.addBase(runtime, storeDir);
      bases.set(runtime, base);
      return base;
    },
    above: async (runtime, script) => [await layers.add(script), ...(await driver.base(runtime))],
    create: (runtime, spec, limits, from = launcher) => create(runtime, spec, limits, from),
    snippet: async (runtime, code, options = {}) =>
      run(runtime, scratchSpec(await driver.base(runtime)), snippetOf(runtime, code, options), options),
    async handler(runtime, code, event = null, options = {}) {
      const text = Buffer.from(code).toString('base64');
      const file = runtime === 'node' ? 'index.js' : 'index.py';
      const stack = await driver.above(
        runtime,
        `mkdir function; echo ${text} | base64 -d > function/${file}`,
      );
      const program: Program = {
        kind: 'handler',
        handler: 'index.handler',
        eventJson: JSON.stringify(event),
        context: {
          invocationId: 'inv_1',
          functionName: 'f',
          functionVersion: '1',
          deadlineMs: Date.now() + 10_000,
        },
        env: options.env ?? {},
      };
      return run(runtime, scratchSpec(stack), program, options);
    },
    command: (argv, spec, options = {}) =>
      run('bash', spec, { kind: 'command', argv, env: options.env ?? {}, files: [] }, options),
  };
  return driver;
}
