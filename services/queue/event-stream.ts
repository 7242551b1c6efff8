import { type OutputEvent, outputEventSchema } from '../../sdk/contract/events.ts';
import type { Redis } from '../shared/redis.ts';

/*
 * What an invocation has said so far, for those who follow it:
 *   oncebox:events:<id>       stream of {e: OutputEvent as JSON}; expires with the record
 *   oncebox:events-at         its invocations, by the time in ms of the last event
 *   oncebox:follow            channel: the id of an invocation, whose worker is to write its events from now on
 *   oncebox:events-news:<id>  channel: `more` when events were written, `end` when the record is
 */

export const eventsKey = (id: string) => `oncebox:events:${id}`;
export const eventsIndexKey = 'oncebox:events-at';
export const followChannel = 'oncebox:follow';
export const newsChannel = (id: string) => `oncebox:events-news:${id}`;
/** Of one event, about: what is longer is cut into several. A reader takes `eventsAtOnce` of them at a time. */
export const eventMaxBytes = 256 * 1024;
const eventsAtOnce = 16;

/** In one step: no stream without an end to its time, none that the index does not name. */
export async function appendEvents(
  redis: Redis,
  id: string,
  events: readonly OutputEvent[],
  keepMs: number,
): Promise<void> {
  const now = Date.now();
  const commands = redis
    .multi()
    .zremrangebyscore(eventsIndexKey, '-inf', now - keepMs)
    .zadd(eventsIndexKey, now, id);
  for (const event of events) commands.xadd(eventsKey(id), '*', 'e', JSON.stringify(event));
  commands.pexpire(eventsKey(id), keepMs).publish(newsChannel(id), 'more');
  const replies = await commands.exec();
  const failed = replies?.find(([error]) => error)?.[0];
  if (failed) throw failed;
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
