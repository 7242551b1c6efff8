import type { z } from 'zod';
import { errorCodeSchema, errorStatus } from './contract/error.ts';
import { OnceboxError } from './oncebox-error.ts';
import type { CallOptions, Send, SendOptions } from './send.ts';

export interface TaskEvents<Event> {
  /** Told of steps, progress and output while the task runs. */
  onEvent?: (event: Event) => void;
}

type Ending = { type: 'error'; error: { code: string; message: string } };

/**
 * Calls what takes long, and resolves with its last event, `done`. Events are always asked for: an error that comes late has no
 * status to come with.
 */
export function createTask<Schema extends z.ZodType<{ type: string }>>(send: Send, schema: Schema) {
  type Event = z.infer<Schema>;
  return async (
    url: string,
    request: SendOptions,
    { onEvent, signal }: CallOptions & TaskEvents<Event>,
  ): Promise<Extract<Event, { type: 'done' }>> => {
    const headers = { accept: 'application/x-ndjson' };
    const response = await send('POST', url, { ...request, headers, ...(signal && { signal }) });
    for await (const line of lines(response)) {
      const parsed = schema.safeParse(JSON.parse(line));
      // A newer platform may say more than we know.
      if (!parsed.success) continue;
      const event: Event = parsed.data;
      onEvent?.(event);
      if (event.type === 'done') return event as Extract<Event, { type: 'done' }>;
      if (event.type === 'error') throw errorOf((event as unknown as Ending).error);
    }
    throw new OnceboxError(502, { message: 'the connection ended before the task did; it was not finished' });
  };
}

function errorOf({ code, message }: { code: string; message: string }): OnceboxError {
  const known = errorCodeSchema.safeParse(code);
  return known.success
    ? new OnceboxError(errorStatus[known.data], { code: known.data, message })
    : new OnceboxError(500, { message: `${code}: ${message}` });
}

/** The lines of a reply, as they come in; an unfinished last one is dropped. */
async function* lines({ body }: Response): AsyncGenerator<string> {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      text += decoder.decode(chunk.value, { stream: true });
      const complete = text.split('\n');
      text = complete.pop() ?? '';
      yield* complete.filter((line) => line !== '');
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
