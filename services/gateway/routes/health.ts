import { Hono } from 'hono';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';

/** `/healthz`: the process is up. `/readyz`: an invocation would be taken, because Redis answers and a worker is there. */
export function healthRoutes({ directory }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .get('/healthz', (c) => c.json({ status: 'ok' }))
    .get('/readyz', async (c) => {
      const nodes = await directory.nodes();
      if (nodes.length === 0) throw new PlatformError('unavailable', 'no worker is registered');
      return c.json({ status: 'ready', workers: nodes.length });
    });
}
