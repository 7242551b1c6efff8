import type { HonoRequest } from 'hono';
import { readTraceContext, traceIdOf } from '../telemetry/trace-context.ts';
import { noTracing, type Span, type Tracing } from '../telemetry/tracing.ts';

/** The span of a request, by the semantic conventions for HTTP servers. */
export function startRequestSpan(tracing: Tracing, request: HonoRequest): Span {
  return tracing.start(request.method, {
    kind: 'server',
    parent: readTraceContext(request.header('traceparent'), request.header('tracestate')),
    attributes: {
      'http.request.method': request.method,
      'url.scheme': 'http',
      'url.path': request.path,
      'user_agent.original': request.header('user-agent') ?? '',
    },
  });
}

/** The reply begins. */
export function endRequestSpan(
  span: Span,
  { method, route, status }: { method: string; route: string; status: number },
): void {
  const isKnown = route !== '/*';
  if (isKnown) span.rename(`${method} ${route}`);
  span.set({ 'http.response.status_code': status, ...(isKnown && { 'http.route': route }) });
  // A client's mistake is no failure of the server.
  span.end(status >= 500 ? { failed: String(status) } : {});
}

/** From the request's being understood until its job is on Redis. What happens to the job belongs below it. */
export function startEnqueueSpan(tracing: Tracing = noTracing, request: Span, id: string): Span {
  return tracing.start('send invocations', {
    kind: 'producer',
    parent: request.context,
    attributes: {
      'messaging.system': 'bullmq',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'invocations',
      'messaging.message.id': id,
    },
  });
}

/** For the log. */
export function traceOf({ context }: Span): { traceId?: string } {
  return context ? { traceId: traceIdOf(context) } : {};
}
