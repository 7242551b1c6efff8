import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { InvocationRequest } from '../queue/invocation-queue.ts';
import { unfinishedInvocation } from '../queue/record.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import type { GatewayDeps, GatewayEnv } from './deps.ts';
import { startEnqueueSpan } from './trace-request.ts';

export interface Reply {
  status: number;
  body: unknown;
}

/** What an invocation may spend waiting and being discarded, on top of its own wall-clock cap, before a 504. */
const queueAllowanceMs = 60_000;

/**
 * Enqueues an invocation and makes the reply: at once, with the record's address, if the caller prefers not to
 * wait; else with what `reply` makes of the finished invocation. A caller who leaves cancels it.
 */
export async function dispatch(
  c: Context<GatewayEnv>,
  deps: Pick<GatewayDeps, 'queue' | 'tracing'>,
  id: string,
  request: Omit<InvocationRequest, 'tenant'>,
  reply: (invocation: Invocation) => Reply,
): Promise<Response> {
  const logger = c
    .get('logger')
    .child({ invocationId: id, runtime: request.runtime, image: request.image?.reference });
  const { queue } = deps;
  const receivedAtMs = c.get('receivedAtMs');
  const enqueuing = startEnqueueSpan(deps.tracing, c.get('span'), id);
  const origin = { tenant: c.get('tenant'), requestId: c.get('requestId'), trace: enqueuing.context };
  const job = { ...request, ...origin, receivedAtMs };
  if (prefersAsync(c.req.header('prefer'))) {
    await queue.enqueue(id, job).finally(() => enqueuing.end());
    logger.debug('invocation accepted');
    return c.json(unfinishedInvocation(id, request, 'queued'), 202, {
      location: `/v1/invocations/${id}`,
      'oncebox-invocation-id': id,
      'preference-applied': 'respond-async',
    });
  }
  const waiting = queue.enqueueAndWait(id, job, {
    timeoutMs: request.limits.wallMs + queueAllowanceMs,
    signal: c.req.raw.signal,
    added: () => enqueuing.end(),
  });
  // What was refused was never added.
  const invocation = await waiting.finally(() => enqueuing.end());
  logger.debug(
    { status: invocation.outcome?.status, start: invocation.start, ...invocation.timings },
    'invocation finished',
  );
  const { status, body } = reply(invocation);
  const totalMs = Math.max(0, wallClockMs() - receivedAtMs);
  return c.json(body, status as ContentfulStatusCode, invocationHeaders(invocation, totalMs));
}

/** RFC 7240: a list of preferences, each with parameters. */
function prefersAsync(prefer: string | undefined): boolean {
  return (prefer ?? '')
    .split(',')
    .some((item) => item.split(';')[0]?.trim().toLowerCase() === 'respond-async');
}

/** `total`: all of it as the gateway saw it. What the phases leave of it is the way of the result back. */
function invocationHeaders(
  { id, start, timings, init }: Invocation,
  totalMs: number,
): Record<string, string> {
  const headers: Record<string, string> = { 'oncebox-invocation-id': id };
  if (start) headers['oncebox-start'] = start;
  if (timings) {
    const phases = Object.entries(timings).map(([name, ms]): [string, number] => [name.slice(0, -2), ms]);
    // Part of the run; shared initialisation was not waited for.
    if (init && !init.shared) phases.push(['init', init.ms]);
    const entries = [...phases, ['total', totalMs] as const].map(
      ([phase, ms]) => `${phase};dur=${ms.toFixed(3)}`,
    );
    headers['server-timing'] = entries.join(', ');
  }
  return headers;
}
