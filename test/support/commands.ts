import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import type { RunReport, SandboxSpec, Zone } from '../../runtime/sandbox/sandbox.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { patientLimits } from './limits.ts';

export interface CommandRan {
  outcome: Outcome;
  stdout: string;
  stderr: string;
  report: RunReport;
}

interface CommandOptions {
  env?: Record<string, string>;
  limits?: Partial<Limits>;
  captureChanges?: boolean;
}

/** Runs a command in a sandbox of this spec, and waits until that is gone. */
export async function runCommand(
  zone: Zone,
  spec: SandboxSpec,
  argv: string[],
  { env = { PATH: '/bin:/usr/bin' }, captureChanges = false, ...options }: CommandOptions = {},
): Promise<CommandRan> {
  const sandbox = await zone.create(spec);
  const program: Program = { kind: 'command', argv, env, files: [] };
  const limits = patientLimits(options.limits);
  const report = await sandbox.run({ program, limits, stdin: new Uint8Array(), captureChanges });
  await sandbox.dead;
  return {
    outcome: outcomeOf(report, program, limits),
    stdout: Buffer.from(report.stdout).toString(),
    stderr: Buffer.from(report.stderr).toString(),
    report,
  };
}
