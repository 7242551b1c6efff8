import type { InvocationEvent } from '../../sdk/contract/events.ts';
import { lastEventId, type NumberedEvent } from '../queue/event-feed.ts';

/** Proxies close a connection on which nothing moves, most of them after a minute. */
const heartbeatMs = 15_000;
/** Who takes nothing for so long is gone, or as good as gone. */
const stalledMs = 60_000;

const encoder = new TextEncoder();

export interface EventReplyOptions {
  /** Called once, when the client left before the end, or takes nothing any more. */
  onLeft?: () => void;
  heartbeatMs?: number;
  stalledMs?: number;
}

export const eventHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // Proxies of the nginx kind would collect them.
  'x-accel-buffering': 'no',
};

/**
 * The reply that tells events as they come (HTML, Server-sent events). An event is read when the client has taken the one
 * before: however slow it is, one is in our memory. Events that cannot be read any more end it with an event `error`.
 */
export function eventReply(
  events: AsyncGenerator<NumberedEvent, void, void>,
  headers: Record<string, string>,
  options: EventReplyOptions = {},
): Response {
  return new Response(eventBody(events, options), {
    headers: { ...headers, ...eventHeaders },
  });
}

function eventBody(
  events: AsyncGenerator<NumberedEvent, void, void>,
  options: EventReplyOptions,
): ReadableStream<Uint8Array> {
  const beatMs = options.heartbeatMs ?? heartbeatMs;
  let next: Promise<IteratorResult<NumberedEvent, void>> | undefined;
  let isOver = false;
  let stalled: NodeJS.Timeout | undefined;
  const leave = () => {
    clearTimeout(stalled);
    if (isOver) return;
    isOver = true;
    options.onLeft?.();
    void events.return().catch(() => {});
  };
  const finish = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    isOver = true;
    controller.close();
  };
  return new ReadableStream<Uint8Array>(
    {
      // Headers go out with the first byte.
      start: (controller) => controller.enqueue(encoder.encode(': oncebox\n\n')),
      async pull(controller) {
        clearTimeout(stalled);
        try {
          next ??= events.next();
          const found = await within(next, beatMs);
          if (isOver) return;
          if (found === undefined) controller.enqueue(encoder.encode(':\n\n'));
          else {
            next = undefined;
            if (found.done) return finish(controller);
            controller.enqueue(encoder.encode(eventText(found.value)));
          }
          stalled = setTimeout(() => {
            leave();
            controller.error(new Error('the client takes nothing'));
          }, options.stalledMs ?? stalledMs).unref();
        } catch {
          if (isOver) return;
          const message = 'the events cannot be read any more; ask again with Last-Event-ID';
          controller.enqueue(encoder.encode(`event: error\ndata: ${JSON.stringify({ message })}\n\n`));
          finish(controller);
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}

function eventText({ eventId, event }: NumberedEvent): string {
  // JSON has no line ends of its own, so data is one line.
  return `id: ${eventId}\nevent: ${event.type}\ndata: ${JSON.stringify(dataOf(event))}\n\n`;
}

function dataOf(event: InvocationEvent): unknown {
  if (event.type === 'end') return event.invocation;
  const { type: _, ...data } = event;
  return data;
}

async function within<Value>(promise: Promise<Value>, ms: number): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** As we number them: anything else is of another stream, and the client has seen nothing of ours. */
export function lastEventIdOf(header: string | undefined): string | undefined {
  return header === lastEventId || /^\d{1,15}-\d{1,15}$/.test(header ?? '') ? header : undefined;
}

/** Whether the request's Accept names `text/event-stream` itself. */
export function acceptsEvents(accept: string | undefined): boolean {
  return (accept ?? '')
    .split(',')
    .some((item) => item.split(';')[0]?.trim().toLowerCase() === 'text/event-stream');
}
