import type { RunnableProgram } from '../../runtime/sandbox/sandbox.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationJob } from '../queue/job.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import type { TraceContext } from '../telemetry/trace-context.ts';
import type { Attributes, Tracing } from '../telemetry/tracing.ts';

export interface InvocationTrace {
  /** Where the program's own spans belong. */
  readonly context: TraceContext | undefined;
  /** The invocation is over: its phases become spans. */
  end(invocation: Invocation): void;
}

/** The worker's part of an invocation's trace, from its taking on. */
export function traceInvocation(tracing: Tracing, id: string, job: InvocationJob): InvocationTrace {
  const takenAtMs = wallClockMs();
  const parent = job.trace;
  const attributes: Attributes = {
    'messaging.system': 'bullmq',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'invocations',
    'messaging.message.id': id,
    'oncebox.tenant': job.tenant,
    ...(job.function && { 'faas.name': job.function.name, 'faas.version': `${job.function.version}` }),
    'faas.invocation_id': id,
  };
  const span = tracing.start('process invocations', {
    kind: 'consumer',
    parent,
    startMs: takenAtMs,
    attributes,
  });
  return {
    context: span.context,
    end({ outcome, start, timings }) {
      const status = outcome?.status ?? 'lost';
      span.set({
        'oncebox.outcome': status,
        ...(start && { 'faas.coldstart': start === 'cold', 'oncebox.start': start }),
      });
      if (timings) {
        const { queueMs, admitMs, prepareMs, compileMs, leaseMs, startMs, runMs } = timings;
        // Before it was taken: beside our span, not in it.
        phase('queue', takenAtMs - queueMs, queueMs, parent);
        let fromMs = takenAtMs;
        for (const [name, ms] of Object.entries({
          admit: admitMs,
          prepare: prepareMs,
          ...(compileMs !== undefined && { compile: compileMs }),
          lease: leaseMs,
          start: startMs,
          run: runMs,
        })) {
          phase(name, fromMs, ms, span.context);
          fromMs += ms;
        }
      }
      span.end(status === 'ok' ? {} : { failed: status });
    },
  };

  function phase(name: string, startMs: number, ms: number, below: TraceContext | undefined): void {
    tracing.start(name, { startMs, parent: below }).end({ atMs: startMs + ms });
  }
}

/**
 * The program with its place in the trace: as the environment variables `TRACEPARENT` and `TRACESTATE`, where it has none of
 * its own, and of a handler in its context. Not before the sandbox is leased: a function's zygote is found by its
 * environment.
 */
export function withTrace(program: RunnableProgram, trace: TraceContext | undefined): RunnableProgram {
  if (!trace) return program;
  if (program.kind === 'handler') return { ...program, context: { ...program.context, ...trace } };
  const { traceparent, tracestate } = trace;
  const variables = { TRACEPARENT: traceparent, ...(tracestate && { TRACESTATE: tracestate }) };
  const env = { ...variables, ...program.env };
  if (program.kind === 'lambda') return { ...program, env, context: { ...program.context, ...trace } };
  return { ...program, env };
}
