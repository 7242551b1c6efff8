import { Hono } from 'hono';
import { invocationListQuerySchema } from '../../../sdk/contract/invocation-list.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';

/** `GET /v1/invocations`: a tenant's own, newest first. */
export function invocationListRoutes({ queue }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>().get('/invocations', async (c) => {
    const query = invocationListQuerySchema.parse(c.req.query());
    return c.json({ invocations: await queue.list(c.get('tenant'), query) });
  });
}
