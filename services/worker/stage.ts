import { setTimeout as delay } from 'node:timers/promises';
import type { LeasedSandbox, SandboxRequest, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import {
  type RunReport,
  type RunRequest,
  SandboxLostError,
  type Secret,
} from '../../runtime/sandbox/sandbox.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { AbortCause, Run } from './runs.ts';

/** How long an invocation waits for a launcher that cannot be reached. */
const launcherWithinMs = 10_000;
const launcherRetryMs = 100;

/** One program in one sandbox. Most invocations have one; of a language that is compiled the compiler is another, before it. */
export interface Stage {
  request: SandboxRequest;
  /** Its secrets are wiped once they are handed over. */
  run: RunRequest;
  /** The sandbox is there, and the program about to be handed over. */
  onLeased: (lease: LeasedSandbox) => void;
}

export interface StageEnd {
  lease: LeasedSandbox;
  report: RunReport;
  outcome: Outcome;
}

/**
 * Leases a sandbox, runs the program in it and says how that ended. Rejects where there was none, or it was lost, and with the
 * run's AbortCause when that came before the program.
 */
export async function runStage(
  { request, run: { secrets = [], ...rest }, onLeased }: Stage,
  source: SandboxSource,
  run: Run,
): Promise<StageEnd> {
  const lease = await leaseAlive(source, request, run.signal);
  const { sandbox, start } = lease;
  if (run.signal.aborted) {
    await sandbox.kill();
    throw run.signal.reason;
  }
  run.start = start;
  run.sandbox = sandbox;
  run.signal.addEventListener('abort', () => void sandbox.kill(), { once: true });
  onLeased(lease);
  const running = sandbox.run({ ...rest, ...(secrets.length > 0 && { secrets }) });
  wipe(secrets);
  const report = await running;
  const outcome =
    report.cause === 'killed' ? killedOutcome(run) : outcomeOf(report, rest.program, rest.limits);
  return { lease, report, outcome };
}

/** They have gone to the sandbox, or never will. */
export function wipe(secrets: readonly Secret[] = []): void {
  for (const { value } of secrets) value.fill(0);
}

/**
 * A parked sandbox can die between being leased and being run; until it has a program, another is as good. And a launcher
 * that has gone is back in a moment: no program has been handed over, so waiting for it repeats nothing.
 */
async function leaseAlive(source: SandboxSource, request: SandboxRequest, signal: AbortSignal) {
  const lease = await leaseInTime(source, request, signal);
  return lease.sandbox.state === 'dead' ? leaseInTime(source, request, signal) : lease;
}

async function leaseInTime(source: SandboxSource, request: SandboxRequest, signal: AbortSignal) {
  for (const until = performance.now() + launcherWithinMs; ; ) {
    try {
      return await source.lease(request);
    } catch (error) {
      if (!isLauncherAway(error) || performance.now() > until) throw error;
      await delay(launcherRetryMs, undefined, { signal });
    }
  }
}

function isLauncherAway(error: unknown): boolean {
  const { code } = ((error as Error | undefined)?.cause ?? {}) as NodeJS.ErrnoException;
  return error instanceof SandboxLostError && (code === 'ECONNREFUSED' || code === 'ENOENT');
}

function killedOutcome(run: Run): Outcome {
  const cause: AbortCause | undefined = run.signal.aborted ? run.signal.reason : undefined;
  if (cause === 'cancelled') return { status: 'cancelled' };
  return lost(cause === 'shutdown' ? 'the node shut down while it ran' : 'its sandbox was killed');
}

export function lost(reason: string): Outcome {
  return { status: 'lost', reason };
}
