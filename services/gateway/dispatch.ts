import type { Context } from 'hono';
import type { ContentfulStatusCode, StatusCode } from 'hono/utils/http-status';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { NumberedEvent } from '../queue/event-feed.ts';
import { type Idempotency, idempotencyOf } from '../queue/idempotency.ts';
import type { InvocationRequest } from '../queue/invocation-queue.ts';
import { unfinishedInvocation } from '../queue/record.ts';
import type { Logger } from '../shared/logger.ts';
import { PlatformError } from '../shared/platform-error.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import { accept, callbackOf } from './accept.ts';
import type { GatewayDeps, GatewayEnv } from './deps.ts';
import type { RawReply } from './http-response.ts';
import { invocationOptions } from './invocation-options.ts';
import { enqueueInteractive } from './session.ts';
import { acceptsEvents, eventReply } from './sse.ts';
import { type StreamedReply, streamReply } from './stream-reply.ts';
import { startEnqueueSpan } from './trace-request.ts';

export interface Reply {
  status: number;
  body: unknown;
}

/** How the reply is told, where it is not the request's headers that say it. */
export type ReplyMode =
  | 'finished'
  | 'accepted'
  /** As 'finished'; what a handler streams is not for the client as it comes, but for what makes the reply of it. */
  | { streamed: StreamedReply }
  /** As it happens; `onLeft` is to be called once the client has left before the end. */
  | { follow: Follow };

type Follow = (
  events: AsyncGenerator<NumberedEvent, void, void>,
  onLeft: () => void,
  acceptedId: string,
) => Response;

/** As the events that they are. */
export const followEvents: Follow = (events, onLeft, acceptedId) =>
  eventReply(events, { 'oncebox-invocation-id': acceptedId }, { onLeft });

/** What an invocation may spend waiting and being discarded, on top of its own wall-clock cap, before a 504. */
const queueAllowanceMs = 60_000;

/**
 * Enqueues an invocation and makes the reply: at once, with the record's address, if the caller prefers not to
 * wait; as events, if it accepts those; else with what `reply` makes of the finished invocation. A caller who leaves
 * cancels it.
 */
export async function dispatch(
  c: Context<GatewayEnv>,
  deps: Pick<GatewayDeps, 'queue' | 'callbacks' | 'tracing' | 'held'>,
  id: string,
  request: Omit<InvocationRequest, 'tenant'>,
  reply: (invocation: Invocation) => Reply | RawReply | Promise<Reply>,
  mode?: ReplyMode,
): Promise<Response> {
  const logger = c
    .get('logger')
    .child({ invocationId: id, runtime: request.runtime, image: request.image?.reference });
  const tenant = c.get('tenant');
  const enqueuing = startEnqueueSpan(deps.tracing, c.get('span'), id);
  const origin = { tenant, requestId: c.get('requestId'), trace: enqueuing.context };
  try {
    const { isAsync, priority, idempotencyKey } = invocationOptions(c);
    const callback = callbackOf(c.req.header('oncebox-callback'));
    const call: Call = {
      id,
      job: { ...request, ...origin, ...callback, receivedAtMs: c.get('receivedAtMs'), priority },
      idempotency: idempotencyKey === undefined ? undefined : idempotencyOf(tenant, idempotencyKey, request),
      logger,
      added() {
        enqueuing.end();
        logger.debug('invocation accepted');
      },
    };
    if (mode === 'accepted' || (isAsync && mode === undefined)) return await replyAtOnce(c, deps, call);
    if (callback.callback) {
      throw new PlatformError('invalid_request', 'oncebox-callback: needs "Prefer: respond-async"', {
        field: 'oncebox-callback',
      });
    }
    if (typeof mode === 'object' && 'follow' in mode) return await replyEvents(c, deps, call, mode.follow);
    // Of an HTTP function they may be what it answers with.
    const asksForEvents = mode === undefined && !isHttp(request) && acceptsEvents(c.req.header('accept'));
    if (asksForEvents) return await replyEvents(c, deps, call, followEvents);
    const streamed = typeof mode === 'object' ? mode.streamed : undefined;
    return await replyFinished(c, deps, call, reply, streamed);
  } finally {
    // What was refused was never added.
    enqueuing.end();
  }
}

interface Call {
  id: string;
  job: InvocationRequest;
  idempotency: Idempotency | undefined;
  logger: Logger;
  /** The job is on Redis. */
  added(): void;
}

async function replyAtOnce(
  c: Context<GatewayEnv>,
  deps: Pick<GatewayDeps, 'queue' | 'callbacks'>,
  { id, job, idempotency, added }: Call,
): Promise<Response> {
  const acceptedId = await accept(deps, id, job, idempotency);
  added();
  const known = acceptedId === id ? undefined : await deps.queue.get(acceptedId, job.tenant);
  return c.json(known ?? unfinishedInvocation(acceptedId, job, 'queued'), 202, {
    location: `/v1/invocations/${acceptedId}`,
    'oncebox-invocation-id': acceptedId,
    'preference-applied': 'respond-async',
  });
}

async function replyEvents(
  c: Context<GatewayEnv>,
  { queue, held }: Pick<GatewayDeps, 'queue' | 'held'>,
  { id, job, idempotency, logger, added }: Call,
  follow: Follow,
): Promise<Response> {
  const place = held.take(job.tenant);
  const followed = { ...job, events: true, isAwaited: true };
  const enqueuing = job.interactive
    ? enqueueInteractive(queue, id, followed, idempotency)
    : queue.enqueue(id, followed, idempotency).then((acceptedId) => ({ acceptedId, input: undefined }));
  enqueuing.catch(place.giveUp);
  const { acceptedId, input } = await enqueuing;
  added();
  const left = new AbortController();
  const leave = () => {
    left.abort();
    // Who has a key is expected to come back for it.
    if (idempotency !== undefined) return;
    queue
      .cancel(id, job.tenant)
      .catch((error: unknown) => logger.warn({ err: error }, 'cannot cancel what nobody follows'));
  };
  // It may have left while the invocation was being enqueued; then nobody asks for the body, or cancels that.
  if (c.req.raw.signal.aborted) leave();
  const events = endingWith(queue.events.follow(acceptedId, { signal: left.signal }), () => input?.close());
  return withOwnHeaders(c, place.of(follow(events, leave, acceptedId)));
}

/** With what is to be done ahead of the end: a worker that died has not. */
async function* endingWith(
  events: AsyncGenerator<NumberedEvent, void, void>,
  finish: () => Promise<void> | undefined,
): AsyncGenerator<NumberedEvent, void, void> {
  for await (const numbered of events) {
    if (numbered.event.type === 'end') await finish();
    yield numbered;
  }
}

async function replyFinished(
  c: Context<GatewayEnv>,
  { queue, held }: Pick<GatewayDeps, 'queue' | 'held'>,
  { id, job, idempotency, logger, added }: Call,
  reply: (invocation: Invocation) => Reply | RawReply | Promise<Reply>,
  makeStreamed: StreamedReply | undefined,
): Promise<Response> {
  let onStreaming = () => {};
  const streaming = new Promise<undefined>((resolve) => {
    onStreaming = () => resolve(undefined);
  });
  const finished = queue.enqueueAndWait(id, job, {
    timeoutMs: (job.compile?.limits.wallMs ?? 0) + job.limits.wallMs + queueAllowanceMs,
    signal: c.req.raw.signal,
    onStreaming,
    added,
    idempotency,
  });
  const invocation = await Promise.race([finished, streaming]);
  // That it is streamed may have been told to nobody; the record says so too.
  if (invocation === undefined || isStreamedWhole(invocation)) {
    logger.debug('invocation streams its result');
    const onError = (error: unknown) => logger.warn({ err: error }, 'cannot follow or cancel');
    finished.catch(onError);
    const streamed = {
      // Where the request was sent before with its key, that is an earlier one's.
      id: invocation?.id ?? id,
      tenant: job.tenant,
      isHttp: isHttp(job),
      isCancelled: idempotency === undefined,
    };
    const made = await streamReply({ queue, held }, streamed, onError, makeStreamed);
    // Nobody reads the body of that reply, and nobody would say so.
    if (c.req.method === 'HEAD') await made.body?.cancel();
    return withOwnHeaders(c, made);
  }
  logger.debug(
    { status: invocation.outcome?.status, start: invocation.start, ...invocation.timings },
    'invocation finished',
  );
  const made = await reply(invocation);
  const totalMs = Math.max(0, wallClockMs() - (job.receivedAtMs ?? wallClockMs()));
  const headers = invocationHeaders(invocation, totalMs);
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
    const phases = Object.entries(timings).map(([name, ms = 0]): [string, number] => [name.slice(0, -2), ms]);
    // Part of the run; shared initialisation was not waited for.
    if (init && !init.shared) phases.push(['init', init.ms]);
    const entries = [...phases, ['total', totalMs] as const].map(
      ([phase, ms]) => `${phase};dur=${ms.toFixed(3)}`,
    );
    headers['server-timing'] = entries.join(', ');
  }
  return headers;
}
