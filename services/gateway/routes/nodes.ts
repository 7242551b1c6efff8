import { Hono } from 'hono';
import type { SandboxList, SandboxRecord } from '../../../sdk/contract/node.ts';
import { mayDo } from '../../tenants/identity.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';

/** `GET /v1/sandboxes`, what `docker ps` would show, to admins that of all tenants; and `GET /v1/nodes`. */
export function nodeRoutes({ directory }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .get('/sandboxes', async (c) => {
      const { sandboxes, silentNodes } = await directory.sandboxes();
      // What is parked is nobody's yet.
      const isShown = ({ tenant }: SandboxRecord) => tenant === c.get('tenant');
      const seesAll = mayDo(c.get('identity'), 'admin');
      return c.json<SandboxList>({ sandboxes: seesAll ? sandboxes : sandboxes.filter(isShown), silentNodes });
    })
    .get('/nodes', async (c) => c.json({ nodes: await directory.nodes() }));
}
