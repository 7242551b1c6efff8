import { errorStatus } from './contract/error.ts';
import { type InvocationEvent, invocationEventSchema } from './contract/events.ts';
import type { RunRequest } from './contract/run-request.ts';
import { OnceboxError } from './oncebox-error.ts';
import type { CallOptions, Send, SendOptions } from './send.ts';

export interface FollowOptions extends CallOptions {
  /** Of an event that was seen before: only those behind it come. */
  lastEventId?: string;
}

export interface LogOptions extends CallOptions {
  /** Both, in the order in which they came, unless one is named. */
  stream?: 'stdout' | 'stderr';
  /** Of what there is already, the last so many lines. */
  tail?: number;
  /** Until the invocation ends. */
  follow?: boolean;
}

/** An event, with the id behind which following can go on. */
export type FollowedEvent = InvocationEvent & { eventId: string };

export interface StreamClient {
  /** Runs it and tells what it says while it does. Who stops reading cancels it. */
  runEvents(request: RunRequest, options?: CallOptions): AsyncGenerator<FollowedEvent, void, void>;
  /** As `runEvents`, of a function. A handler that fails is told by the `end`, not thrown. */
  invokeEvents(
    name: string,
    event?: unknown,
    options?: CallOptions,
  ): AsyncGenerator<FollowedEvent, void, void>;
  /** What a handler returns that streams its result, byte by byte; of another handler, its result as JSON. */
  invokeStream(name: string, event?: unknown, options?: CallOptions): Promise<ReadableStream<Uint8Array>>;
  /** All that an invocation has said and says. Who stops reading cancels nothing. */
  events(id: string, options?: FollowOptions): AsyncGenerator<FollowedEvent, void, void>;
  logs(id: string, options?: LogOptions): Promise<ReadableStream<Uint8Array>>;
}

export function createStreamClient(send: Send): StreamClient {
  const accept = 'text/event-stream';
  const invokePath = (name: string) => `/v1/functions/${encodeURIComponent(name)}/invoke`;
  const invocationPath = (id: string) => `/v1/invocations/${encodeURIComponent(id)}`;

  async function* follow(method: string, path: string, options: SendOptions) {
    yield* eventsOf(await send(method, path, { ...options, headers: { accept, ...options.headers } }));
  }

  return {
    runEvents: (json, options) => follow('POST', '/v1/run', { ...options, json }),
    invokeEvents: (name, json, options) => follow('POST', invokePath(name), { ...options, json }),
    invokeStream: async (name, json, options) =>
      bodyOf(await send('POST', invokePath(name), { ...options, json })),
    events: (id, { lastEventId, ...options } = {}) =>
      follow('GET', `${invocationPath(id)}/events`, {
        ...options,
        ...(lastEventId !== undefined && { headers: { 'last-event-id': lastEventId } }),
      }),
    async logs(id, { stream, tail, follow = false, ...options } = {}) {
      const query = new URLSearchParams({ follow: `${follow}` });
      if (stream) query.set('stream', stream);
      if (tail !== undefined) query.set('tail', `${tail}`);
      return bodyOf(await send('GET', `${invocationPath(id)}/logs?${query}`, options));
    },
  };
}

/** Throws an OnceboxError when the connection ended before the events did. */
async function* eventsOf(response: Response): AsyncGenerator<FollowedEvent, void, void> {
  if (response.status === 204) return;
  for await (const { id, event, data } of parseEventStream(bodyOf(response))) {
    const value: unknown = JSON.parse(data);
    if (event === 'error') throw cut((value as { message?: string }).message);
    const parsed = invocationEventSchema.safeParse(
      event === 'end' ? { type: event, invocation: value } : { ...(value as object), type: event },
    );
    // A newer platform may say more than we know.
    if (!parsed.success) continue;
    yield { ...parsed.data, eventId: id };
    if (event === 'end') return;
  }
  throw cut('the connection ended before the invocation did');
}

function cut(message = 'the events cannot be read'): OnceboxError {
  return new OnceboxError(errorStatus.unavailable, { code: 'unavailable', message });
}

interface ParsedEvent {
  id: string;
  event: string;
  data: string;
}

/** As the HTML standard reads an event stream, without `retry`. An event that is not whole at the end is dropped. */
async function* parseEventStream(body: ReadableStream<Uint8Array>): AsyncGenerator<ParsedEvent, void, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let id = '';
  let event = '';
  let data: string[] = [];
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      text += decoder.decode(chunk.value, { stream: true });
      // A CR at the end may be half a line end.
      const lines = text.split(/\r\n|\n|\r(?!$)/);
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield { id, event, data: data.join('\n') };
          event = '';
          data = [];
          continue;
        }
        const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        if (field === 'id') id = value;
        else if (field === 'event') event = value;
        else if (field === 'data') data.push(value);
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function bodyOf({ body }: Response): ReadableStream<Uint8Array> {
  return body ?? new ReadableStream({ start: (controller) => controller.close() });
}
