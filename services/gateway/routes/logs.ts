import { Hono } from 'hono';
import { logsQuerySchema } from '../../../sdk/contract/events.ts';
import type { EventFeed } from '../../queue/event-feed.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { withOwnHeaders } from '../dispatch.ts';
import { known } from './invocations.ts';

/** `GET /v1/invocations/:id/logs`: what it has printed, as text; with `follow` until it ends. */
export function logRoutes({ queue, held }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>().get('/invocations/:id/logs', async (c) => {
    const query = logsQuerySchema.parse(c.req.query());
    const { id } = await known(c, queue.get);
    const headers = {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'oncebox-invocation-id': id,
    };
    // Of what is asked for without its body, nobody ever reads one.
    if (c.req.method === 'HEAD') return c.body(null, 200, headers);
    const place = held.take(c.get('tenant'));
    const left = new AbortController();
    const texts = readLogs(queue.events, id, { ...query, signal: left.signal });
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const next = await texts.next();
          if (next.done) controller.close();
          else controller.enqueue(encoder.encode(next.value));
        },
        cancel: () => left.abort(),
      },
      { highWaterMark: 0 },
    );
    return withOwnHeaders(c, place.of(new Response(body, { headers })));
  });
}

interface LogOptions {
  stream?: 'stdout' | 'stderr' | undefined;
  tail?: number | undefined;
  follow: boolean;
  signal: AbortSignal;
}

async function* readLogs(
  feed: EventFeed,
  id: string,
  { stream, tail, follow, signal }: LogOptions,
): AsyncGenerator<string, void, void> {
  const last = tail === undefined ? undefined : new LastLines(tail);
  let isLive = false;
  let rest = '';
  const onCaughtUp = () => {
    isLive = true;
    rest = last?.text ?? '';
  };
  for await (const { event } of feed.follow(id, { signal, untilNow: !follow, onCaughtUp })) {
    if (rest !== '') yield rest;
    rest = '';
    if (event.type !== 'stdout' && event.type !== 'stderr') continue;
    if (stream !== undefined && event.type !== stream) continue;
    if (last && !isLive) last.add(event.text);
    else yield event.text;
  }
  if (rest !== '') yield rest;
}

/** Of a text that comes in pieces, the last lines; of an endless line, the last part. */
class LastLines {
  readonly #count: number;
  #parts: string[] = [];
  #length = 0;
  #newlines = 0;

  constructor(count: number) {
    this.#count = count;
  }

  add(text: string): void {
    this.#parts.push(text);
    this.#length += text.length;
    this.#newlines += text.split('\n').length - 1;
    // Not with each piece: a text of many short lines would be joined again and again.
    if (this.#newlines > 2 * this.#count + 1024) this.#cut();
  }

  get text(): string {
    this.#cut();
    return this.#parts.join('');
  }

  #cut(): void {
    const text = this.#parts.join('');
    // A line ends with its newline; what comes behind the last one is a line too.
    let from = text.endsWith('\n') ? text.length - 1 : text.length;
    for (let lines = 0; lines < this.#count && from >= 0; lines++)
      from = from === 0 ? -1 : text.lastIndexOf('\n', from - 1);
    const kept = this.#count === 0 ? '' : text.slice(from + 1);
    this.#parts = [kept];
    this.#length = kept.length;
    this.#newlines = kept.split('\n').length - 1;
  }
}
