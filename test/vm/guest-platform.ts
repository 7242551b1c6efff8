import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { type RunReport, scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { defaultLimits, type Limits } from '../../sdk/contract/limits.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program } from '../../sdk/contract/program.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';

export const MiB = 1024 * 1024;
export const cgroupRoot = '/sys/fs/cgroup';
const socket = '/run/launcher.sock';
const native = fileURLToPath(new URL('../../runtime/native/build', import.meta.url));
const storeDir = process.argv[2];
if (storeDir === undefined) throw new Error('usage: guest.ts STORE_DIR');
export const store = openStore(storeDir);
const interpreters = { node: 'node', python: 'python', bash: 'exec' } as const;
const entries = { node: 'index.js', python: 'main.py', bash: 'main.sh' } as const;

interface Ran {
  outcome: Outcome;
  report: RunReport;
  stdout: string;
}

export const zones = new Map<RuntimeName, Zone>();
export const tally = { passed: 0, failed: 0 };

/** Software emulation is some ten times slower, and more where its host is busy: time is capped only where the cap is the matter. */
export async function run(runtime: RuntimeName, code: string, caps: Partial<Limits> = {}): Promise<Ran> {
  const zone = zones.get(runtime);
  if (zone === undefined) throw new Error(`the ${runtime} zone did not open`);
  const limits = { ...defaultLimits(), wallMs: 300_000, cpuMs: 300_000, ...caps };
  const entry = entries[runtime];
  const program: Program = {
    kind: 'snippet',
    files: [{ path: entry, content: code, encoding: 'utf8' }],
    entry,
    args: [],
    env: {},
  };
  const sandbox = await zone.create(scratchSpec((await store.resolve(runtime)).layers));
  const report = await sandbox.run({ program, limits, stdin: Buffer.alloc(0) });
  await sandbox.dead;
  return {
    outcome: outcomeOf(report, program, limits),
    report,
    stdout: Buffer.from(report.stdout).toString(),
  };
}

export async function check(name: string, body: () => Promise<void>): Promise<void> {
  const start = performance.now();
  try {
    await body();
    tally.passed++;
    console.log(`ok ${name} (${Math.round(performance.now() - start)} ms)`);
  } catch (error) {
    tally.failed++;
    console.log(`FAILED ${name}: ${error instanceof Error ? error.message : error}`);
  }
}

export function expect(condition: boolean, seen: Ran | unknown): void {
  if (condition) return;
  const ran = seen as Partial<Ran>;
  const stderr = ran?.report ? Buffer.from(ran.report.stderr).toString() : undefined;
  const report = ran?.report && { ...ran.report, stdout: undefined, stderr: undefined, result: undefined };
  throw new Error(`got ${JSON.stringify(ran?.report ? { ...ran, report, stderr } : seen)}`);
}

/** `prefix` is a command that ends by executing the one behind it. */
export async function startLauncher(...prefix: string[]): Promise<ChildProcess> {
  const [command, ...args] = [...prefix, join(native, 'oncebox-launcher')];
  const child = spawn(
    command as string,
    [
      ...args,
      ...['--socket', socket, '--layers', store.layersDir, '--platform', join(native, 'platform')],
      ...['--worker-uid', '0', '--instance', 'vm'],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), once(child, 'exit')]);
  if (child.exitCode !== null) throw new Error(`the launcher ended with ${child.exitCode}`);
  return child;
}

export async function openZoneOf(runtime: RuntimeName): Promise<void> {
  const image = await store.resolve(runtime);
  const { layers } = image;
  const interpreter = interpreters[runtime];
  zones.set(
    runtime,
    await openZone({ launcherSocket: socket, interpreter, layers, searchPath: defaultSearchPath }),
  );
}

export async function sandboxCgroups(): Promise<string[]> {
  const all = await readdir(join(cgroupRoot, 'oncebox/vm'), { recursive: true });
  return all.filter((path) => /^zone\d+\/s\d+$/.test(path));
}

export const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
