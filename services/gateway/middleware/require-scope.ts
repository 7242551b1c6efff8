import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { defaultTenant } from '../../../sdk/contract/tenant.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import { mayDo } from '../../tenants/identity.ts';
import { accessOf } from '../access-rules.ts';
import type { GatewayEnv } from '../deps.ts';

/** Refuses what the caller's key has no scope for, before anything of the request is read. */
export function requireScope(): MiddlewareHandler<GatewayEnv> {
  return async (c, next) => {
    const route = routePath(c, -1);
    const access = accessOf(c.req.method, route);
    const identity = c.get('identity');
    if (access !== 'open' && access !== 'any key' && !mayDo(identity, access))
      throw new PlatformError('forbidden', `this needs a key with the scope "${access}"`);
    // They are of the whole platform, so of its operator.
    if (route === '/metrics' && identity.tenant !== defaultTenant && !mayDo(identity, 'admin'))
      throw new PlatformError('forbidden', `this needs a key of the tenant "${defaultTenant}"`);
    await next();
  };
}
