import type { LeasedSandbox, SandboxRequest, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { type RunReport, SandboxLostError } from '../../runtime/sandbox/sandbox.ts';
import type { Invocation, Timings } from '../../sdk/contract/invocation.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { type InvocationJob, invocationJobSchema } from '../queue/job.ts';
import type { Logger } from '../shared/logger.ts';
import type { MemoryCapacity } from './capacity.ts';
import { decodeOutput } from './output.ts';
import type { AbortCause, Run, Runs } from './runs.ts';

export interface InvocationDeps {
  source: SandboxSource;
  capacity: MemoryCapacity;
  runs: Runs;
  /** Puts a function version's layer on disk. */
  ensureCodeLayer: (hex: string) => Promise<void>;
  logger: Logger;
}

/** What the spine needs of a BullMQ job. */
export interface TakenJob {
  id: string;
  data: unknown;
  /** Unix time, milliseconds. */
  enqueuedAt: number;
}

/** The worker stops before the program was handed over: the job can go back to the queue as it came. */
export class NotStartedError extends Error {
  override readonly name = 'NotStartedError';
}

/**
 * The life of one invocation on a worker. Whatever the program does, and whatever we lose under it, is an outcome
 * in the Invocation returned. Throws NotStartedError on shutdown; anything else thrown is a bug.
 */
export async function processInvocation(job: TakenJob, deps: InvocationDeps): Promise<Invocation> {
  const { source, capacity, runs } = deps;
  const clock = startClock(job);
  const parsed = invocationJobSchema.safeParse(job.data);
  if (!parsed.success)
    return finish(job, clock, { outcome: lost(`the job is malformed: ${parsed.error.message}`) }, deps);
  const { program, limits, codeLayer, runtime, stdin } = parsed.data;

  const run = runs.open(job.id);
  run.function = parsed.data.function;
  run.imageDigest = parsed.data.imageDigest;
  let release: (() => void) | undefined;
  let lease: LeasedSandbox | undefined;
  try {
    release = await capacity.acquire(limits.memoryBytes, run.signal);
    if (codeLayer) await deps.ensureCodeLayer(codeLayer);
    lease = await leaseAlive(source, { runtime, codeLayer });
    if (run.signal.aborted) {
      await lease.sandbox.kill();
      throw run.signal.reason;
    }
    clock.leased();
    run.start = lease.start;
    run.sandbox = lease.sandbox;
    run.signal.addEventListener('abort', () => void lease?.sandbox.kill(), { once: true });
    const report = await lease.sandbox.run({
      program: withDeadline(program, limits.wallMs),
      limits,
      stdin: Buffer.from(stdin),
    });
    const outcome = report.cause === 'killed' ? killedOutcome(run) : outcomeOf(report, program, limits);
    return finish(job, clock, { data: parsed.data, outcome, lease, report }, deps);
  } catch (error) {
    return finish(job, clock, { data: parsed.data, outcome: outcomeOfError(error, run), lease }, deps);
  } finally {
    runs.close(run);
    release?.();
  }
}

/** A parked sandbox can die between being leased and being run; until it has a program, another is as good. */
async function leaseAlive(source: SandboxSource, request: SandboxRequest) {
  const lease = await source.lease(request);
  return lease.sandbox.state === 'dead' ? source.lease(request) : lease;
}

/** The deadline that the handler sees counts from now, not from when the gateway enqueued it. */
function withDeadline(program: Program, wallMs: number): Program {
  if (program.kind !== 'handler') return program;
  return { ...program, context: { ...program.context, deadlineMs: Date.now() + wallMs } };
}

function killedOutcome(run: Run): Outcome {
  const cause: AbortCause | undefined = run.signal.aborted ? run.signal.reason : undefined;
  if (cause === 'cancelled') return { status: 'cancelled' };
  return lost(cause === 'shutdown' ? 'the node shut down while it ran' : 'its sandbox was killed');
}

function outcomeOfError(error: unknown, run: Run): Outcome {
  if (run.signal.aborted) {
    const cause: AbortCause = run.signal.reason;
    if (cause === 'cancelled') return { status: 'cancelled' };
    if (run.sandbox === undefined)
      throw new NotStartedError(`invocation ${run.id} was not started: the node stops`);
  }
  // User code may have begun, with effects that we cannot see, so it is not run again.
  if (run.sandbox !== undefined && error instanceof SandboxLostError) return lost(error.message);
  if (run.sandbox === undefined) return lost(`it could not be started: ${messageOf(error)}`);
  throw error;
}

function lost(reason: string): Outcome {
  return { status: 'lost', reason };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Ending {
  data?: InvocationJob;
  outcome: Outcome;
  lease?: LeasedSandbox | undefined;
  report?: RunReport;
}

function finish(job: TakenJob, clock: Clock, ending: Ending, deps: InvocationDeps): Invocation {
  const { data, outcome, lease, report } = ending;
  const digest = data?.imageDigest ?? lease?.imageDigest;
  const timings = clock.timings(report);
  const invocation: Invocation = {
    id: job.id,
    status: outcome.status === 'lost' ? 'failed' : 'done',
    ...(data?.function && { function: data.function }),
    outcome,
    ...(lease && { start: lease.start }),
    ...(digest !== undefined && { image: { digest } }),
    timings,
    ...(report && {
      usage: {
        cpuMs: report.cpuUsec / 1000,
        memoryPeakBytes: report.memoryPeakBytes,
        wallMs: report.runUsec / 1000,
      },
    }),
    stdout: decodeOutput(report?.stdout, report?.stdoutTruncated),
    stderr: decodeOutput(report?.stderr, report?.stderrTruncated),
    stdoutTruncated: report?.stdoutTruncated ?? false,
    stderrTruncated: report?.stderrTruncated ?? false,
  };
  deps.logger.info(
    {
      invocationId: job.id,
      ...(lease && { sandboxId: lease.sandbox.id, start: lease.start }),
      ...(data && { runtime: data.runtime }),
      ...(data?.function && { function: data.function.name }),
      outcome: outcome.status,
      ...(outcome.status === 'lost' && { reason: outcome.reason }),
      ...timings,
    },
    'invocation',
  );
  return invocation;
}

interface Clock {
  leased(): void;
  timings(report: RunReport | undefined): Timings;
}

function startClock(job: TakenJob): Clock {
  // Another process's clock, perhaps another machine's: never negative, whatever it says.
  const queueMs = Math.max(0, Date.now() - job.enqueuedAt);
  const takenAt = performance.now();
  let leasedAt: number | undefined;
  return {
    leased: () => {
      leasedAt = performance.now();
    },
    timings: (report) => ({
      queueMs,
      leaseMs: round((leasedAt ?? performance.now()) - takenAt),
      startMs: (report?.startUsec ?? 0) / 1000,
      runMs: report
        ? report.runUsec / 1000
        : leasedAt === undefined
          ? 0
          : round(performance.now() - leasedAt),
      discardMs: (report?.discardUsec ?? 0) / 1000,
    }),
  };
}

/** To a microsecond. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
