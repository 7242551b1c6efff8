import type { Context } from 'hono';
import type { ContentfulStatusCode, StatusCode } from 'hono/utils/http-status';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { idempotencyOf } from '../queue/idempotency.ts';
import type { InvocationRequest } from '../queue/invocation-queue.ts';
import { unfinishedInvocation } from '../queue/record.ts';
import { PlatformError } from '../shared/platform-error.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import { accept, callbackOf } from './accept.ts';
import type { GatewayDeps, GatewayEnv } from './deps.ts';
import type { RawReply } from './http-response.ts';
import { invocationOptions } from './invocation-options.ts';
import { acceptsEvents, eventReply } from './sse.ts';
import { streamReply } from './stream-reply.ts';

export interface Reply {
  status: number;
  body: unknown;
}

/** What an invocation may spend waiting and being discarded, on top of its own wall-clock cap, before a 504. */
const queueAllowanceMs = 60_000;

/**
 * Enqueues an invocation and makes the reply: at once, with the record's address, if the caller prefers not to
 * wait; as events, if it accepts those; else with what `reply` makes of the finished invocation. A caller who leaves
 * cancels it.
 */
export async function dispatch(
  c: Context<GatewayEnv>,
  { queue, callbacks }: GatewayDeps,
  id: string,
  request: Omit<InvocationRequest, 'tenant'>,
  reply: (invocation: Invocation) => Reply | RawReply,
): Promise<Response> {
  const logger = c
    .get('logger')
    .child({ invocationId: id, runtime: request.runtime, image: request.image?.reference });
  const receivedAtMs = c.get('receivedAtMs');
  const { isAsync, priority, idempotencyKey } = invocationOptions(c);
  const tenant = c.get('tenant');
  const job = { ...request, tenant, receivedAtMs, priority };
  const idempotency =
    idempotencyKey === undefined ? undefined : idempotencyOf(tenant, idempotencyKey, request);
  const callback = callbackOf(c.req.header('oncebox-callback'));
  if (isAsync) {
    const acceptedId = await accept({ queue, callbacks }, id, { ...job, ...callback }, idempotency);
    logger.debug('invocation accepted');
    const known = acceptedId === id ? undefined : await queue.get(acceptedId, tenant);
    return c.json(known ?? unfinishedInvocation(acceptedId, job, 'queued'), 202, {
      location: `/v1/invocations/${acceptedId}`,
      'oncebox-invocation-id': acceptedId,
      'preference-applied': 'respond-async',
    });
  }
  if (callback.callback) {
    throw new PlatformError('invalid_request', 'oncebox-callback: needs "Prefer: respond-async"', {
      field: 'oncebox-callback',
    });
  }
  const onError = (error: unknown) => logger.warn({ err: error }, 'cannot follow or cancel');
  // Of an HTTP function they may be what it answers with.
  if (!isHttp(request) && acceptsEvents(c.req.header('accept'))) {
    const { signal } = c.req.raw;
    const acceptedId = await queue.enqueue(id, { ...job, events: true, isAwaited: true }, idempotency);
    logger.debug('invocation accepted');
    const left = new AbortController();
    const leave = () => {
      left.abort();
      // Who has a key is expected to come back for it.
      if (idempotency === undefined) queue.cancel(id, job.tenant).catch(onError);
    };
    // It may have left while the invocation was being enqueued; then nobody asks for the body, or cancels that.
    if (signal.aborted) leave();
    const events = queue.events.follow(acceptedId, { signal: left.signal });
    return withOwnHeaders(c, eventReply(events, { 'oncebox-invocation-id': acceptedId }, { onLeft: leave }));
  }
  let onStreaming = () => {};
  const streaming = new Promise<undefined>((resolve) => {
    onStreaming = () => resolve(undefined);
  });
  const finished = queue.enqueueAndWait(id, job, {
    timeoutMs: request.limits.wallMs + queueAllowanceMs,
    signal: c.req.raw.signal,
    onStreaming,
    idempotency,
  });
  const invocation = await Promise.race([finished, streaming]);
  // That it is streamed may have been told to nobody; the record says so too.
  if (invocation === undefined || isStreamedWhole(invocation)) {
    logger.debug('invocation streams its result');
    finished.catch(onError);
    return withOwnHeaders(c, await streamReply({ queue }, id, onError));
  }
  logger.debug(
    { status: invocation.outcome?.status, start: invocation.start, ...invocation.timings },
    'invocation finished',
  );
  const made = reply(invocation);
  const headers = invocationHeaders(invocation, Math.max(0, wallClockMs() - receivedAtMs));
  if (!('raw' in made)) return c.json(made.body, made.status as ContentfulStatusCode, headers);
  for (const [name, value] of Object.entries(headers)) made.headers.set(name, value);
  return c.newResponse(made.raw, { status: made.status as StatusCode, headers: made.headers });
}

/** With what the context has for every reply, as the request's id. */
export function withOwnHeaders(c: Context, { body, status, headers }: Response): Response {
  return c.newResponse(body, { status: status as StatusCode, headers });
}

function isHttp({ program }: Pick<InvocationRequest, 'program'>): boolean {
  return program.kind === 'handler' && program.http === true;
}

function isStreamedWhole({ streamedBytes, outcome }: Invocation): boolean {
  return streamedBytes !== undefined && outcome?.status === 'ok';
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
