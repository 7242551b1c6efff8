import { Hono } from 'hono';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';

/** `GET /v1/sandboxes`, what `docker ps` would show, and `GET /v1/nodes`. */
export function nodeRoutes({ directory }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .get('/sandboxes', async (c) => c.json(await directory.sandboxes()))
    .get('/nodes', async (c) => c.json({ nodes: await directory.nodes() }));
}
