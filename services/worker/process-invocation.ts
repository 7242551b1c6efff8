import type { LeasedSandbox, SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import { initMsOf } from '../../runtime/sandbox/init-time.ts';
import { type BinaryFile, type RunnableProgram, SandboxLostError } from '../../runtime/sandbox/sandbox.ts';
import type { CompileStage, Invocation } from '../../sdk/contract/invocation.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import type { Program } from '../../sdk/contract/program.ts';
import { invocationJobSchema } from '../queue/job.ts';
import type { Logger } from '../shared/logger.ts';
import { noTracing, type Tracing } from '../telemetry/tracing.ts';
import { memoryOfRun, memoryToAdmit, outputToAdmit } from './admit.ts';
import type { MemoryCapacity, Release } from './capacity.ts';
import { compileProgram } from './compile.ts';
import type { EventWriter, Streams } from './events.ts';
import type { Inputs, RunningInput } from './input.ts';
import { type Ending, finish } from './invocation-record.ts';
import { startClock } from './phase-clock.ts';
import type { PreparedJob, PrepareJob } from './prepare-job.ts';
import type { RecordDiff } from './record-diff.ts';
import type { AbortCause, Run, Runs } from './runs.ts';
import { lost, runStage, wipe } from './stage.ts';
import { traceInvocation, withTrace } from './trace-invocation.ts';

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
  /** Where what interactive invocations are told comes from; without one they have the stdin of their job and no more. */
  inputs?: Inputs;
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
  /** Makes its record, where it is not put off. */
  readonly end: (outcome: Outcome) => Invocation;

  constructor(reason: string, end: (outcome: Outcome) => Invocation) {
    super(reason);
    this.end = end;
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
  const { data } = parsed;
  const { limits, diff = false } = data;
  clock.parsed(data);
  const trace = traceInvocation(deps.tracing ?? noTracing, job.id, data);

  const run = runs.open(job.id);
  run.tenant = data.tenant;
  run.function = data.function;
  run.imageDigest = data.imageDigest;
  let release: Release | undefined;
  let releaseOutput: Release | undefined;
  let prepared: PreparedJob | undefined;
  let compile: CompileStage | undefined;
  let lease: LeasedSandbox | undefined;
  let talk: RunningInput | undefined;
  const events = deps.events?.open(job.id, {
    isFollowed: data.events ?? false,
    replyTo: data.replyTo,
    streams: streamsOf(data.program),
    tenant: data.tenant,
    onRefused: () => void lease?.sandbox.kill(),
  });
  const onOutput =
    events && ((stream: 'stdout' | 'stderr', bytes: Uint8Array) => events.output(stream, bytes));
  const end = (ending: Omit<Ending, 'data' | 'prepared' | 'compile' | 'lease' | 'trace'>) =>
    finish(job, clock, { data, prepared, compile, lease, trace, ...ending }, deps);
  try {
    const whose = { tenant: data.tenant, signal: run.signal };
    release = await capacity.acquire(memoryToAdmit(data, capacity), whose);
    const room = deps.outputCapacity;
    // What is more than all of the room is run alone.
    releaseOutput = await room?.acquire(Math.min(outputToAdmit(data), room.totalBytes), whose);
    clock.done('admitMs');
    prepared = await deps.prepare(data);
    clock.done('prepareMs');
    let program: RunnableProgram = prepared.program;
    if (prepared.compile) {
      const { request, program: compiler, limits: caps } = prepared.compile;
      const compiled = await compileProgram(
        {
          request,
          run: {
            program: withTrace(compiler, trace.context),
            limits: caps,
            stdin: Buffer.alloc(0),
            ...(onOutput && { onOutput }),
          },
          onLeased({ start }) {
            events?.started(start);
            events?.stage('compile', start);
          },
        },
        source,
        run,
      );
      compile = compiled.compile;
      clock.done('compileMs');
      if (compiled.failure) {
        await events?.close(truncatedOf(compile));
        return end({ outcome: compiled.failure });
      }
      release(memoryOfRun(data, capacity));
      program = withFiles(prepared.program, compiled.files);
    }
    if (data.interactive) talk = deps.inputs?.open(job.id);
    const { report, outcome } = await runStage(
      {
        request: prepared.request,
        run: {
          program: withTrace(withDeadline(program, limits.wallMs), trace.context),
          limits,
          stdin: Buffer.from(data.stdin),
          ...(talk && { input: talk.input }),
          ...(diff !== false && { captureChanges: true }),
          ...(onOutput && { onOutput }),
          ...(events && { onRecords: (records) => events.records(records) }),
          ...(prepared.secrets && { secrets: prepared.secrets }),
        },
        onLeased(leased) {
          lease = leased;
          clock.done('leaseMs');
          if (compile) events?.stage('run', leased.start, truncatedOf(compile));
          else events?.started(leased.start);
          deps.logger.debug({ invocationId: job.id, sandboxId: leased.sandbox.id }, 'program handed over');
        },
      },
      source,
      run,
    );
    const streamed = await events?.close(truncatedOf(report));
    const initMs = initMsOf(report);
    if (initMs !== undefined) lease?.initialised?.(initMs);
    const kept = await deps.recordDiff(job.id, diff, report.changes, data.tenant);
    return end({ outcome: events?.refused ?? outcome, report, initMs, changed: { ...kept, ...streamed } });
  } catch (error) {
    const outcome = outcomeOfError(error, run);
    await events?.close({ stdout: true, stderr: true });
    if (job.mayStartLater && run.sandbox === undefined && outcome.status === 'lost')
      throw new StartFailedError(outcome.reason, (last) => end({ outcome: last }));
    return end({ outcome });
  } finally {
    runs.close(run);
    void talk?.close(run.sandbox !== undefined);
    wipe(prepared?.secrets);
    // The record has the output, and what it is written as, and told as, is as large again.
    if (releaseOutput) void (job.told ?? Promise.resolve()).then(() => releaseOutput?.());
    // Its memory is taken until nothing of the sandbox is left; the reply does not wait for that.
    if (release) void (run.sandbox?.dead ?? Promise.resolve()).then(() => release?.());
  }
}

/** Whoever waits for a snippet or an image gets the record, and nothing in its place. */
function streamsOf(program: Program): Streams {
  if (program.kind === 'lambda') return 'result';
  if (program.kind !== 'handler') return 'nothing';
  return program.http === true ? 'response' : 'result';
}

function truncatedOf({
  stdoutTruncated,
  stderrTruncated,
}: Pick<CompileStage, 'stdoutTruncated' | 'stderrTruncated'>) {
  return { stdout: stdoutTruncated, stderr: stderrTruncated };
}

/** Those of a compiler take the place of its own. */
function withFiles(program: Program, files: readonly BinaryFile[]): RunnableProgram {
  return program.kind === 'command' ? { ...program, files } : program;
}

/** The deadline that the handler sees counts from now, not from when the gateway enqueued it. */
function withDeadline(program: RunnableProgram, wallMs: number): RunnableProgram {
  if (!('context' in program)) return program;
  return { ...program, context: { ...program.context, deadlineMs: Date.now() + wallMs } };
}

function outcomeOfError(error: unknown, run: Run): Outcome {
  const wasStarted = run.sandbox !== undefined;
  if (run.signal.aborted) {
    const cause: AbortCause = run.signal.reason;
    if (cause === 'cancelled') return { status: 'cancelled' };
    if (!wasStarted) throw new NotStartedError(`invocation ${run.id} was not started: the node stops`);
    // Between its two stages, too.
    if (error === cause) return lost('the node shut down while it ran');
  }
  // User code may have begun, with effects that we cannot see, so it is not run again.
  if (wasStarted && error instanceof SandboxLostError) return lost(error.message);
  if (!wasStarted) return lost(`it could not be started: ${messageOf(error)}`);
  throw error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
