import type { LeasedSandbox } from '../../runtime/pool/sandbox-source.ts';
import type { RunReport } from '../../runtime/sandbox/sandbox.ts';
import type { CompileStage, Invocation } from '../../sdk/contract/invocation.ts';
import { defaultPriority } from '../../sdk/contract/invocation-options.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import type { InvocationJob } from '../queue/job.ts';
import { imageOf } from '../queue/record.ts';
import type { Logger } from '../shared/logger.ts';
import { traceIdOf } from '../telemetry/trace-context.ts';
import { decodeOutput } from './output.ts';
import { type Clock, round } from './phase-clock.ts';
import type { PreparedJob } from './prepare-job.ts';
import type { InvocationTrace } from './trace-invocation.ts';

export interface Ending {
  data?: InvocationJob;
  prepared?: PreparedJob | undefined;
  outcome: Outcome;
  /** Of the program itself, and no compiler's. */
  lease?: LeasedSandbox | undefined;
  compile?: CompileStage | undefined;
  report?: RunReport;
  /** What initialisation took in this sandbox. */
  initMs?: number | undefined;
  /** What the record says of the writable layer and of a streamed result. */
  changed?: Partial<Invocation>;
  trace?: InvocationTrace;
}

interface Taken {
  id: string;
  attempt?: number;
}

interface FinishDeps {
  finished?: (invocation: Invocation, tenant: string) => void;
  logger: Logger;
}

/** The record of an invocation that is over; tells the log, the figures and the trace of it. */
export function finish(job: Taken, clock: Clock, ending: Ending, deps: FinishDeps): Invocation {
  const { data, prepared, outcome, lease, compile, report, initMs, changed, trace } = ending;
  const timings = clock.timings(report);
  const invocation: Invocation = {
    id: job.id,
    status: outcome.status === 'lost' ? 'failed' : 'done',
    ...(data?.function && { function: data.function }),
    outcome,
    ...(data && { priority: data.priority ?? defaultPriority }),
    ...(data?.redriveOf !== undefined && { redriveOf: data.redriveOf }),
    ...(job.attempt !== undefined && { attempt: job.attempt }),
    ...(lease && { start: lease.start }),
    ...((lease || compile) && { isolation: data?.isolation ?? 'native' }),
    // A plain snippet's job says nothing of images: it runs on whatever is the runtime's base here.
    ...(prepared && { image: { digest: prepared.request.image.digest } }),
    ...(data && imageOf(data)),
    ...(data?.language && { language: data.language }),
    timings,
    ...initOf(lease, initMs),
    ...(report && { usage: usageOf(report) }),
    ...(compile && { compile }),
    ...printedOf(report),
    ...changed,
  };
  deps.logger.info(
    {
      invocationId: job.id,
      ...(data?.requestId && { requestId: data.requestId }),
      ...(trace?.context && { traceId: traceIdOf(trace.context) }),
      ...(lease && { sandboxId: lease.sandbox.id, start: lease.start }),
      ...(data?.runtime && { runtime: data.runtime }),
      ...(data?.language && { language: data.language.name }),
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

export function usageOf(report: RunReport): NonNullable<Invocation['usage']> {
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

export function printedOf(report: RunReport | undefined): Pick<CompileStage, PrintedField> {
  return {
    stdout: decodeOutput(report?.stdout, report?.stdoutTruncated),
    stderr: decodeOutput(report?.stderr, report?.stderrTruncated),
    stdoutTruncated: report?.stdoutTruncated ?? false,
    stderrTruncated: report?.stderrTruncated ?? false,
  };
}

type PrintedField = 'stdout' | 'stderr' | 'stdoutTruncated' | 'stderrTruncated';

function initOf(lease: LeasedSandbox | undefined, ownMs: number | undefined): Pick<Invocation, 'init'> {
  if (lease?.sharedInitMs !== undefined) return { init: { ms: round(lease.sharedInitMs), shared: true } };
  return ownMs === undefined ? {} : { init: { ms: ownMs, shared: false } };
}
