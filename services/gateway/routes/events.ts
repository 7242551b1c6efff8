import { Hono } from 'hono';
import { lastEventId } from '../../queue/event-feed.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { withOwnHeaders } from '../dispatch.ts';
import { eventReply, lastEventIdOf } from '../sse.ts';
import { known } from './invocations.ts';

/** `GET /v1/invocations/:id/events`: all that it has said and says, from the beginning or behind `Last-Event-ID`. */
export function eventRoutes({ queue }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>().get('/invocations/:id/events', async (c) => {
    const { id } = await known(c, queue.get);
    const after = lastEventIdOf(c.req.header('last-event-id'));
    // The answer at which an EventSource stops asking again.
    if (after === lastEventId) return c.body(null, 204);
    const left = new AbortController();
    const events = queue.events.follow(id, { after, signal: left.signal });
    const reply = eventReply(events, { 'oncebox-invocation-id': id }, { onLeft: () => left.abort() });
    return withOwnHeaders(c, reply);
  });
}
