import type { ResponseHead, ResultChunk } from '../../sdk/contract/events.ts';
import type { NumberedEvent } from '../queue/event-feed.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { GatewayDeps } from './deps.ts';
import type { HeldConnection } from './held-connections.ts';
import { bodyAllowed, responseHeaders } from './http-response.ts';

/**
 * Makes the reply of what a handler that streams its result says. `leave` is to be called once no more of it is wanted; the
 * reply may come when all of it was said.
 */
export type StreamedReply = (
  events: AsyncGenerator<NumberedEvent, void, void>,
  leave: () => void,
  streamed: Streamed,
) => Promise<Response>;

/**
 * The reply of a handler that streams its result, as `make` makes it. A client that leaves cancels, where `isCancelled` says
 * so.
 */
export async function streamReply(
  { queue, held }: Pick<GatewayDeps, 'queue' | 'held'>,
  streamed: Streamed,
  onError: (error: unknown) => void,
  make: StreamedReply = asItComes,
): Promise<Response> {
  const { id, tenant, isCancelled } = streamed;
  let place: HeldConnection;
  try {
    place = held.take(tenant);
  } catch (error) {
    if (isCancelled) queue.cancel(id, tenant).catch(onError);
    throw error;
  }
  const left = new AbortController();
  const leave = () => {
    left.abort();
    if (isCancelled) queue.cancel(id, tenant).catch(onError);
  };
  try {
    const reply = await make(queue.events.follow(id, { signal: left.signal }), leave, streamed);
    reply.headers.set('oncebox-invocation-id', id);
    return place.of(reply);
  } catch (error) {
    place.giveUp();
    throw error;
  }
}

/**
 * It goes out as it comes in: none of it waits here. Status and headers are the handler's where it is asked by HTTP. What
 * fails behind the first byte cuts the connection, so that nobody takes a part for the whole.
 */
const asItComes: StreamedReply = async (events, leave, { id, isHttp }) => {
  const first = await firstPart(events, { id, isHttp });
  const headers = first.head ? responseHeaders(first.head) : new Headers(headersFor(first.chunk));
  if (first.start) headers.set('oncebox-start', first.start);
  const status = first.head?.status ?? 200;
  if (!bodyAllowed(status)) {
    leave();
    return new Response(null, { status, headers });
  }

  let sentBytes = 0;
  let waiting = first.chunk;
  const send = (controller: ReadableStreamDefaultController<Uint8Array>, chunk: ResultChunk) => {
    const bytes = bytesOf(chunk);
    sentBytes += bytes.length;
    controller.enqueue(bytes);
  };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (waiting) {
          send(controller, waiting);
          waiting = undefined;
          return;
        }
        for (let next = await events.next(); !next.done; next = await events.next()) {
          const { event } = next.value;
          if (event.type === 'chunk') return send(controller, event);
          if (event.type !== 'end') continue;
          const { outcome, streamedBytes } = event.invocation;
          if (outcome?.status === 'ok' && streamedBytes === sentBytes) return controller.close();
          throw new Error(`the stream of ${id} is not whole: ${outcome?.status}`);
        }
        throw new Error(`the events of ${id} are gone`);
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, headers });
};

interface Streamed {
  id: string;
  tenant: string;
  /** Else what says that it is the head of a response is none. */
  isHttp: boolean;
  isCancelled: boolean;
}

export function bytesOf(chunk: ResultChunk): Buffer {
  return 'text' in chunk ? Buffer.from(chunk.text) : Buffer.from(chunk.base64, 'base64');
}

interface FirstPart {
  start?: string;
  head?: ResponseHead;
  chunk?: ResultChunk;
}

/** Up to the first head, or the first chunk of a handler that has none. */
async function firstPart(
  events: AsyncGenerator<NumberedEvent, void, void>,
  { id, isHttp }: Pick<Streamed, 'id' | 'isHttp'>,
): Promise<FirstPart> {
  let start: string | undefined;
  for (let next = await events.next(); !next.done; next = await events.next()) {
    const { event } = next.value;
    if (event.type === 'started') start = event.start;
    if (event.type === 'head' && isHttp) return { ...(start && { start }), head: event };
    if (event.type === 'chunk') return { ...(start && { start }), chunk: event };
    if (event.type === 'end') break;
  }
  throw new PlatformError('unavailable', 'the result was streamed, and could not be kept', {
    invocationId: id,
  });
}

function headersFor(chunk: ResultChunk | undefined): Record<string, string> {
  const isText = chunk !== undefined && 'text' in chunk;
  return {
    'content-type': isText ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    'x-content-type-options': 'nosniff',
  };
}
