import { setTimeout as delay } from 'node:timers/promises';
import {
  type Context,
  createTraceState,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { type TraceContext, traceIdOf } from './trace-context.ts';
import type { Attributes, Tracing } from './tracing.ts';

/** A collector that does not answer within this time is given up for this batch, milliseconds. */
const exportMs = 5_000;
const closeMs = 2_000;

const kinds = {
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
};

/**
 * Sends spans in batches, as JSON. When the collector is away or slow they are dropped and nobody waits for it. Who asks
 * with `traceparent` decides whether the trace is recorded; of others, all are.
 */
export function createOtlpTracing(options: {
  url: string;
  headers?: Record<string, string>;
  resource: Attributes;
}): Tracing {
  const { url, headers = {} } = options;
  const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis: exportMs });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(options.resource),
    spanProcessors: [
      new BatchSpanProcessor(exporter, { scheduledDelayMillis: 1_000, exportTimeoutMillis: exportMs }),
    ],
  });
  const tracer = provider.getTracer('oncebox');

  return {
    start(name, { kind = 'internal', parent, startMs, attributes } = {}) {
      const span = tracer.startSpan(
        name,
        {
          kind: kinds[kind],
          ...(startMs !== undefined && { startTime: startMs }),
          ...(attributes && { attributes }),
        },
        parent ? remote(parent) : ROOT_CONTEXT,
      );
      let isOver = false;
      return {
        context: contextOf(span.spanContext()),
        rename: (to) => void span.updateName(to),
        set: (more) => void span.setAttributes(more),
        end({ atMs, failed } = {}) {
          if (isOver) return;
          isOver = true;
          if (failed !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failed });
          span.end(atMs);
        },
      };
    },
    async close() {
      const timer = new AbortController();
      const late = delay(closeMs, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([provider.shutdown().catch(() => {}), late]);
      timer.abort();
    },
  };
}

function remote(context: TraceContext): Context {
  const { traceparent, tracestate } = context;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: traceIdOf(context),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53), 16),
    isRemote: true,
    ...(tracestate !== undefined && { traceState: createTraceState(tracestate) }),
  });
}

function contextOf({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const tracestate = traceState?.serialize();
  const flags = traceFlags.toString(16).padStart(2, '0');
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(tracestate && { tracestate }) };
}
