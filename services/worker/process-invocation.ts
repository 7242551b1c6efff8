import { setTimeout as delay } from 'node:timers/promises';
import type { LeasedSandbox, SandboxRequest, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { initMsOf } from '../../runtime/sandbox/init-time.ts';
import { memoryOverheadBytes } from '../../runtime/sandbox/oci/wall.ts';
import { outcomeOf } from '../../runtime/sandbox/outcome.ts';
import { type RunReport, SandboxLostError } from '../../runtime/sandbox/sandbox.ts';
import { keptBytes } from '../../runtime/sandbox/zygote-sandbox.ts';
import type { Invocation, Timings } from '../../sdk/contract/invocation.ts';
import { defaultPriority } from '../../sdk/contract/invocation-options.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { type InvocationJob, invocationJobSchema } from '../queue/job.ts';
import { imageOf } from '../queue/record.ts';
import type { Logger } from '../shared/logger.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import { traceIdOf } from '../telemetry/trace-context.ts';
import { noTracing, type Tracing } from '../telemetry/tracing.ts';
import type { MemoryCapacity } from './capacity.ts';
import type { EventWriter, Streams } from './events.ts';
import { decodeOutput } from './output.ts';
import type { PreparedJob, PrepareJob } from './prepare-job.ts';
import type { RecordDiff } from './record-diff.ts';
import type { AbortCause, Run, Runs } from './runs.ts';
import { SecretsTooLargeError } from './secrets.ts';
import { type InvocationTrace, traceInvocation, withTrace } from './trace-invocation.ts';

/** How long an invocation waits for a launcher that cannot be reached. */
const launcherWithinMs = 10_000;
const launcherRetryMs = 100;

export interface InvocationDeps {
  source: SandboxSource;
  capacity: MemoryCapacity;
  /**
   * The worker's own room for output, shared out by cap: what programs print, and the changes that are asked for, is in its memory, several times over, until
   * the record is written, and while it is made to text nobody else is served. Without a bound unless given.
   */
  outputCapacity?: MemoryCapacity;
  runs: Runs;
  /** Finds the image and puts a function version's layer on disk. */
  prepare: PrepareJob;
  recordDiff: RecordDiff;
  /** Tells followers what invocations say while they run. */
  events?: EventWriter;
  /** Told of every invocation once it is over, and whose it was. */
  finished?: (invocation: Invocation, tenant: string) => void;
  logger: Logger;
  /** Without one nothing is traced. */
  tracing?: Tracing;
}

/** What the spine needs of a BullMQ job. */
export interface TakenJob {
  id: string;
  data: unknown;
  /** Unix time, milliseconds. */
  enqueuedAt: number;
  /** Resolves when the record is written and told, or never will be: till then its output takes its room. */
  told?: Promise<void>;
  /** Which run of it this is, from 1. */
  attempt?: number;
  /** Whether it may be put off when it cannot be started: then StartFailedError is thrown in the place of `lost`. */
  mayStartLater?: boolean;
}

/** The worker stops before the program was handed over: the job can go back to the queue as it came. */
export class NotStartedError extends Error {
  override readonly name = 'NotStartedError';
}

/** It could not be started, for a reason that may pass: nothing of its program has run. */
export class StartFailedError extends Error {
  override readonly name = 'StartFailedError';
  /** Ends it all the same, where it was put off often enough. */
  readonly lost: () => Invocation;

  constructor(reason: string, lost: () => Invocation) {
    super(reason);
    this.lost = lost;
  }
}

/**
 * The life of one invocation on a worker. Whatever the program does, and whatever we lose under it, is an outcome
 * in the Invocation returned. Throws NotStartedError on shutdown, StartFailedError where that is asked for; anything else thrown is a bug.
 */
export async function processInvocation(job: TakenJob, deps: InvocationDeps): Promise<Invocation> {
  const { source, capacity, runs } = deps;
  const clock = startClock(job);
  const parsed = invocationJobSchema.safeParse(job.data);
  if (!parsed.success)
    return finish(job, clock, { outcome: lost(`the job is malformed: ${parsed.error.message}`) }, deps);
  const { limits, stdin, diff = false } = parsed.data;
  clock.parsed(parsed.data);
  const trace = traceInvocation(deps.tracing ?? noTracing, job.id, parsed.data);

  const run = runs.open(job.id);
  run.tenant = parsed.data.tenant;
  run.function = parsed.data.function;
  run.imageDigest = parsed.data.imageDigest;
  let release: (() => void) | undefined;
  let releaseOutput: (() => void) | undefined;
  let prepared: PreparedJob | undefined;
  let lease: LeasedSandbox | undefined;
  const events = deps.events?.open(job.id, {
    isFollowed: parsed.data.events ?? false,
    replyTo: parsed.data.replyTo,
    streams: streamsOf(parsed.data.program),
    tenant: parsed.data.tenant ?? defaultTenant,
    onRefused: () => void lease?.sandbox.kill(),
  });
  try {
    release = await capacity.acquire(memoryToAdmit(parsed.data, capacity), run.signal);
    const room = deps.outputCapacity;
    // What is more than all of the room is run alone.
    releaseOutput = await room?.acquire(Math.min(outputToAdmit(parsed.data), room.totalBytes), run.signal);
    clock.done('admitMs');
    prepared = await deps.prepare(parsed.data);
    clock.done('prepareMs');
    const { request, program } = prepared;
    lease = await leaseAlive(source, request, run.signal);
    if (run.signal.aborted) {
      await lease.sandbox.kill();
      throw run.signal.reason;
    }
    clock.done('leaseMs');
    run.start = lease.start;
    run.sandbox = lease.sandbox;
    run.signal.addEventListener('abort', () => void lease?.sandbox.kill(), { once: true });
    events?.started(lease.start);
    deps.logger.debug({ invocationId: job.id, sandboxId: lease.sandbox.id }, 'program handed over');
    const running = lease.sandbox.run({
      program: withTrace(withDeadline(program, limits.wallMs), trace.context),
      limits,
      stdin: Buffer.from(stdin),
      ...(diff !== false && { captureChanges: true }),
      ...(events && {
        onOutput: (stream, bytes) => events.output(stream, bytes),
        onRecords: (records) => events.records(records),
      }),
      ...(prepared.secrets && { secrets: prepared.secrets }),
    });
    wipe(prepared);
    const report = await running;
    const streamed = await events?.close({
      stdout: report.stdoutTruncated,
      stderr: report.stderrTruncated,
    });
    const initMs = initMsOf(report);
    if (initMs !== undefined) lease.initialised?.(initMs);
    const ended = report.cause === 'killed' ? killedOutcome(run) : outcomeOf(report, program, limits);
    const outcome = events?.refused ?? ended;
    const kept = await deps.recordDiff(job.id, diff, report.changes, parsed.data.tenant);
    const changed = { ...kept, ...streamed };
    const ending = { data: parsed.data, prepared, outcome, lease, report, initMs, changed, trace };
    return finish(job, clock, ending, deps);
  } catch (error) {
    const outcome = outcomeOfError(error, run, limits);
    await events?.close({ stdout: true, stderr: true });
    const end = () => finish(job, clock, { data: parsed.data, prepared, outcome, lease, trace }, deps);
    if (job.mayStartLater && run.sandbox === undefined && outcome.status === 'lost')
      throw new StartFailedError(outcome.reason, end);
    return end();
  } finally {
    runs.close(run);
    wipe(prepared);
    // The record has the output, and what it is written as, and told as, is as large again.
    if (releaseOutput) void (job.told ?? Promise.resolve()).then(releaseOutput);
    // Its memory is taken until nothing of the sandbox is left; the reply does not wait for that.
    if (release) void (lease?.sandbox.dead ?? Promise.resolve()).then(release);
  }
}

/** Whoever waits for a snippet or an image gets the record, and nothing in its place. */
function streamsOf(program: Program): Streams {
  if (program.kind !== 'handler') return 'nothing';
  return program.http === true ? 'response' : 'result';
}

/** They have gone to the sandbox, or never will. */
function wipe(prepared: PreparedJob | undefined): void {
  for (const { value } of prepared?.secrets ?? []) value.fill(0);
}

/** With what the wall itself takes, as far as the node has it: what fits without a wall may run behind one. */
function memoryToAdmit(
  { limits, isolation = 'native' }: InvocationJob,
  { totalBytes }: MemoryCapacity,
): number {
  const withWall = limits.memoryBytes + memoryOverheadBytes[isolation];
  return Math.max(limits.memoryBytes, Math.min(withWall, totalBytes));
}

/** What it prints, and what of its writable layer is in memory when that was asked for. */
export function outputToAdmit({ limits, diff = false }: Pick<InvocationJob, 'limits' | 'diff'>): number {
  const changes = diff === false ? 0 : Math.min(limits.diskBytes, keptBytes);
  return limits.stdoutBytes + limits.stderrBytes + changes;
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

function outcomeOfError(error: unknown, run: Run, { diskBytes }: Limits): Outcome {
  if (run.signal.aborted) {
    const cause: AbortCause = run.signal.reason;
    if (cause === 'cancelled') return { status: 'cancelled' };
    if (run.sandbox === undefined)
      throw new NotStartedError(`invocation ${run.id} was not started: the node stops`);
  }
  if (isOutOfRoom(error)) return { status: 'limit_exceeded', limit: 'disk', max: diskBytes, peak: diskBytes };
  // User code may have begun, with effects that we cannot see, so it is not run again.
  if (run.sandbox !== undefined && error instanceof SandboxLostError) return lost(error.message);
  if (run.sandbox === undefined) return lost(`it could not be started: ${messageOf(error)}`);
  throw error;
}

/** Before its program began: the agent writes the secrets, and finds that there is less room than they would need alone. */
function isOutOfRoom(error: unknown): boolean {
  if (error instanceof SecretsTooLargeError) return true;
  return (
    error instanceof SandboxLostError && /cannot write the sandbox's secrets: No space/.test(error.message)
  );
}

function lost(reason: string): Outcome {
  return { status: 'lost', reason };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Ending {
  data?: InvocationJob;
  prepared?: PreparedJob | undefined;
  outcome: Outcome;
  lease?: LeasedSandbox | undefined;
  report?: RunReport;
  /** What initialisation took in this sandbox. */
  initMs?: number | undefined;
  /** What the record says of the writable layer and of a streamed result. */
  changed?: Partial<Invocation>;
  trace?: InvocationTrace;
}

function finish(job: TakenJob, clock: Clock, ending: Ending, deps: InvocationDeps): Invocation {
  const { data, prepared, outcome, lease, report, initMs, changed, trace } = ending;
  const timings = clock.timings(report);
  const invocation: Invocation = {
    id: job.id,
    status: outcome.status === 'lost' ? 'failed' : 'done',
    ...(data?.function && { function: data.function }),
    outcome,
    ...(data && { priority: data.priority ?? defaultPriority }),
    ...(data?.redriveOf !== undefined && { redriveOf: data.redriveOf }),
    ...(job.attempt !== undefined && { attempt: job.attempt }),
    ...(lease && { start: lease.start, isolation: data?.isolation ?? 'native' }),
    // A plain snippet's job says nothing of images: it runs on whatever is the runtime's base here.
    ...(prepared && { image: { digest: prepared.request.image.digest } }),
    ...(data && imageOf(data)),
    timings,
    ...initOf(lease, initMs),
    ...(report && { usage: usageOf(report) }),
    stdout: decodeOutput(report?.stdout, report?.stdoutTruncated),
    stderr: decodeOutput(report?.stderr, report?.stderrTruncated),
    stdoutTruncated: report?.stdoutTruncated ?? false,
    stderrTruncated: report?.stderrTruncated ?? false,
    ...changed,
  };
  deps.logger.info(
    {
      invocationId: job.id,
      ...(data?.requestId && { requestId: data.requestId }),
      ...(trace?.context && { traceId: traceIdOf(trace.context) }),
      ...(lease && { sandboxId: lease.sandbox.id, start: lease.start }),
      ...(data?.runtime && { runtime: data.runtime }),
      ...(data?.image && { image: data.image.reference }),
      ...(data?.function && { function: data.function.name }),
      outcome: outcome.status,
      ...(outcome.status === 'lost' && { reason: outcome.reason }),
      ...timings,
    },
    'invocation',
  );
  deps.finished?.(invocation, data?.tenant ?? defaultTenant);
  trace?.end(invocation);
  return invocation;
}

function usageOf(report: RunReport): Invocation['usage'] {
  const { pressure, pidsPeak } = report;
  return {
    cpuMs: report.cpuUsec / 1000,
    cpuUserMs: report.cpuUserUsec / 1000,
    cpuSystemMs: report.cpuSystemUsec / 1000,
    throttledMs: report.throttledUsec / 1000,
    wallMs: report.runUsec / 1000,
    memoryPeakBytes: report.memoryPeakBytes,
    ...(pidsPeak !== undefined && { pidsPeak }),
    writtenBytes: report.writtenBytes,
    ...(pressure && {
      pressure: {
        cpuMs: pressure.cpuUsec / 1000,
        memoryMs: pressure.memoryUsec / 1000,
        ioMs: pressure.ioUsec / 1000,
      },
    }),
  };
}

function initOf(lease: LeasedSandbox | undefined, ownMs: number | undefined): Pick<Invocation, 'init'> {
  if (lease?.sharedInitMs !== undefined) return { init: { ms: round(lease.sharedInitMs), shared: true } };
  return ownMs === undefined ? {} : { init: { ms: ownMs, shared: false } };
}

/** Steps of the worker's own, in their order. */
type Step = 'admitMs' | 'prepareMs' | 'leaseMs';

interface Clock {
  /** Also tells what the gateway noted. */
  parsed(data: InvocationJob): void;
  /** The step is over; the next begins. */
  done(step: Step): void;
  timings(report: RunReport | undefined): Timings;
}

function startClock(job: TakenJob): Clock {
  const takenAtMs = wallClockMs();
  let stepFrom = performance.now();
  const steps: Record<Step, number> = { admitMs: 0, prepareMs: 0, leaseMs: 0 };
  let isLeased = false;
  // Other processes' clocks, perhaps other machines': never negative, whatever they say.
  let queueMs = Math.max(0, takenAtMs - job.enqueuedAt);
  let receiveMs = 0;
  return {
    parsed({ receivedAtMs, enqueuedAtMs = job.enqueuedAt }) {
      queueMs = Math.max(0, takenAtMs - enqueuedAtMs);
      receiveMs = Math.max(0, enqueuedAtMs - (receivedAtMs ?? enqueuedAtMs));
    },
    done(step) {
      const now = performance.now();
      steps[step] = round(now - stepFrom);
      stepFrom = now;
      if (step === 'leaseMs') isLeased = true;
    },
    timings: (report) => ({
      receiveMs: round(receiveMs),
      queueMs: round(queueMs),
      ...steps,
      startMs: (report?.startUsec ?? 0) / 1000,
      runMs: report ? report.runUsec / 1000 : isLeased ? round(performance.now() - stepFrom) : 0,
    }),
  };
}

/** To a microsecond. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
