import { Hono } from 'hono';
import { lastEventId } from '../../queue/event-feed.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { withOwnHeaders } from '../dispatch.ts';
import { eventHeaders, eventReply, lastEventIdOf } from '../sse.ts';
import { known } from './invocations.ts';

/** `GET /v1/invocations/:id/events`: all that it has said and says, from the beginning or behind `Last-Event-ID`. */
export function eventRoutes({ queue, held }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>().get('/invocations/:id/events', async (c) => {
    const { id } = await known(c, queue.get);
    const after = lastEventIdOf(c.req.header('last-event-id'));
    // The answer at which an EventSource stops asking again.
    if (after === lastEventId) return c.body(null, 204);
    // Of what is asked for without its body, nobody ever reads one.
    if (c.req.method === 'HEAD') return c.body(null, 200, eventHeaders);
    const place = held.take(c.get('tenant'));
    const left = new AbortController();
    const events = queue.events.follow(id, { after, signal: left.signal });
    const reply = eventReply(events, { 'oncebox-invocation-id': id }, { onLeft: () => left.abort() });
    return withOwnHeaders(c, place.of(reply));
  });
}
