import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import type { TaskEvent } from '../../sdk/contract/image.ts';
import type { GatewayEnv } from '../gateway/deps.ts';
import { PlatformError } from '../shared/platform-error.ts';
import { platformErrorOf } from './store-errors.ts';

/** A builder can print faster than a caller reads; what waits beyond this is dropped, oldest first. */
const linesWaitingMax = 1000;

type Event = TaskEvent | { type: 'done' };

export interface Task {
  onEvent: (event: TaskEvent) => void;
  signal: AbortSignal;
}

/**
 * The reply of a task that takes long: its events as lines of JSON, the last one `done` or `error`, where the caller
 * asked for them; else what was made, once all is over, or an error body. A caller who hangs up aborts the task. `made` is
 * what the `done` event calls it.
 */
export async function eventReply<Made extends object>(
  c: Context<GatewayEnv>,
  made: 'image' | 'language',
  run: (task: Task) => Promise<Made>,
): Promise<Response> {
  const hungUp = new AbortController();
  const abort = () => hungUp.abort(new Error('the caller hung up'));
  c.req.raw.signal.addEventListener('abort', abort, { once: true });
  if (!/\bapplication\/x-ndjson\b/.test(c.req.header('accept') ?? ''))
    return c.json(await run({ onEvent() {}, signal: hungUp.signal }));

  c.header('content-type', 'application/x-ndjson');
  return stream(c, async (out) => {
    out.onAbort(abort);
    const waiting: Event[] = [];
    let writing = Promise.resolve();
    const write = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift())
        await out.write(`${JSON.stringify(next)}\n`);
    };
    const say = (event: Event) => {
      // To a slow reader only the last of several counts matters.
      if (event.type === 'progress' && waiting.at(-1)?.type === 'progress') waiting.pop();
      if (waiting.length >= linesWaitingMax) waiting.shift();
      waiting.push(event);
      writing = writing.then(write, () => {});
    };
    try {
      say({ type: 'done', [made]: await run({ onEvent: say, signal: hungUp.signal }) });
    } catch (failure) {
      const error = platformErrorOf(failure);
      const known = error instanceof PlatformError;
      if (!known && !hungUp.signal.aborted) c.get('logger').error({ err: error }, `${made} task failed`);
      const { code, message } = known
        ? error
        : { code: 'internal', message: "the node failed; its worker's log says why" };
      say({ type: 'error', error: { code, message } });
    }
    await writing;
  });
}
