import { errorStatus } from './contract/error.ts';
import { type InvocationEvent, invocationEventSchema } from './contract/events.ts';
import type { RunRequest } from './contract/run-request.ts';
import { readEventStream } from './event-stream.ts';
import { type InvocationOptions, invocationRequest } from './invocation-headers.ts';
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
  runEvents(request: RunRequest, options?: InvocationOptions): AsyncGenerator<FollowedEvent, void, void>;
  /** As `runEvents`, of a function. A handler that fails is told by the `end`, not thrown. */
  invokeEvents(
    name: string,
    event?: unknown,
    options?: InvocationOptions,
  ): AsyncGenerator<FollowedEvent, void, void>;
  /**
   * Calls a function and resolves when the first of its result is there: what a handler streams, byte by byte as it
   * comes; of another handler, its result as JSON. Until then it rejects as `invoke` does; what fails behind that fails
   * the stream. Who cancels the stream cancels the call.
   */
  stream(name: string, event?: unknown, options?: InvocationOptions): Promise<ReadableStream<Uint8Array>>;
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
    runEvents: (json, options) => follow('POST', '/v1/run', { ...invocationRequest(options), json }),
    invokeEvents: (name, json, options) =>
      follow('POST', invokePath(name), { ...invocationRequest(options), json }),
    stream: async (name, json, options) =>
      bodyOf(await send('POST', invokePath(name), { ...invocationRequest(options), json })),
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
export async function* eventsOf(response: Response): AsyncGenerator<FollowedEvent, void, void> {
  if (response.status === 204) return;
  for await (const { type, data, lastEventId } of readEventStream(bodyOf(response))) {
    const value: unknown = JSON.parse(data);
    if (type === 'error') throw cut((value as { message?: string }).message);
    const parsed = invocationEventSchema.safeParse(
      type === 'end' ? { type, invocation: value } : { ...(value as object), type },
    );
    // A newer platform may say more than we know.
    if (!parsed.success) continue;
    yield { ...parsed.data, eventId: lastEventId };
    if (type === 'end') return;
  }
  throw cut('the connection ended before the invocation did');
}

function cut(message = 'the events cannot be read'): OnceboxError {
  return new OnceboxError(errorStatus.unavailable, { code: 'unavailable', message });
}

function bodyOf({ body }: Response): ReadableStream<Uint8Array> {
  return body ?? new ReadableStream({ start: (controller) => controller.close() });
}
