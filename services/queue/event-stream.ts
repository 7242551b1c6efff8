import { type OutputEvent, outputEventSchema } from '../../sdk/contract/events.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * What an invocation has said so far, for those who follow it:
 *   oncebox:events:<id>       stream of {e: OutputEvent as JSON}; expires with the record
 *   oncebox:events-at         its invocations, by the time in ms of the last event
 *   oncebox:streamed:<id>     bytes of its result that are in there; expires with it
 *   oncebox:streams-of:<t>    a tenant's invocations whose results are, by the time in ms of the last piece
 *   oncebox:follow            channel: the id of an invocation, whose worker is to write its events from now on
 *   oncebox:events-news:<id>  channel: `more` when events were written, `end` when the record is
 */

export const eventsKey = (id: string) => `oncebox:events:${id}`;
export const eventsIndexKey = 'oncebox:events-at';
export const streamedKey = (id: string) => `oncebox:streamed:${id}`;
export const streamsOfTenantKey = (tenant: string) => `oncebox:streams-of:${tenant}`;
export const followChannel = 'oncebox:follow';
export const newsChannel = (id: string) => `oncebox:events-news:${id}`;
/** Of one event, about: what is longer is cut into several. A reader takes `eventsAtOnce` of them at a time. */
export const eventMaxBytes = 256 * 1024;
const eventsAtOnce = 16;

interface Appended {
  id: string;
  /** Whose storage pieces of a result count to. */
  tenant: string;
  events: readonly OutputEvent[];
  keepMs: number;
}

/** In one step: no stream without an end to its time, none that the indexes do not name. */
export async function appendEvents(redis: Redis, { id, tenant, events, keepMs }: Appended): Promise<void> {
  const now = Date.now();
  const commands = redis
    .multi()
    .zremrangebyscore(eventsIndexKey, '-inf', now - keepMs)
    .zadd(eventsIndexKey, now, id);
  for (const event of events) commands.xadd(eventsKey(id), '*', 'e', JSON.stringify(event));
  const streamed = events.reduce((sum, event) => sum + streamedBytes(event), 0);
  if (streamed > 0) {
    const index = streamsOfTenantKey(tenant);
    commands
      .zremrangebyscore(index, '-inf', now - keepMs)
      .zadd(index, now, id)
      .pexpire(index, keepMs);
    commands.incrby(streamedKey(id), streamed).pexpire(streamedKey(id), keepMs);
  }
  commands.pexpire(eventsKey(id), keepMs).publish(newsChannel(id), 'more');
  const replies = await commands.exec();
  const failed = replies?.find(([error]) => error)?.[0];
  if (failed) throw failed;
}

/** As they are kept. */
function streamedBytes(event: OutputEvent): number {
  if (event.type !== 'chunk') return 0;
  return 'base64' in event ? event.base64.length : Buffer.byteLength(event.text);
}

export interface StoredEvent {
  /** Of the stream's entry: `<ms>-<number>`. */
  eventId: string;
  event: OutputEvent;
}

/** The next ones after the entry `after`, or the first ones. */
export async function readEvents(
  redis: Redis,
  id: string,
  after: string | undefined,
): Promise<StoredEvent[]> {
  const from = after === undefined ? '-' : `(${after}`;
  const entries = await redis.xrange(eventsKey(id), from, '+', 'COUNT', eventsAtOnce);
  return entries.map(([eventId, [, text = '']]) => ({
    eventId,
    event: outputEventSchema.parse(JSON.parse(text)),
  }));
}
