import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { PlatformError } from '../../shared/platform-error.ts';
import type { Tenancy } from '../../tenants/tenancy.ts';
import { accessOf } from '../access-rules.ts';
import type { GatewayEnv } from '../deps.ts';
import { rateLimitHeaders } from '../rate-limit-headers.ts';

/** Counts requests of tenants that have a quota of them, and refuses those beyond it; what is open to all counts for nobody. */
export function limitRate({ book, rates }: Pick<Tenancy, 'book' | 'rates'>): MiddlewareHandler<GatewayEnv> {
  return async (c, next) => {
    // Of who asks and not of whom he asks for: an admin's visit uses up nothing of the visited.
    const { tenant } = c.get('identity');
    const { requestsPerMinute } = book.quotasOf(tenant);
    if (requestsPerMinute === undefined || accessOf(c.req.method, routePath(c, -1)) === 'open') return next();
    const { isWithin, rateLimit } = await rates.take(tenant, requestsPerMinute);
    if (!isWithin) {
      throw new PlatformError(
        'rate_limited',
        `the tenant's quota is ${requestsPerMinute} requests a minute`,
        {
          retryAfterSeconds: rateLimit.resetSeconds,
          rateLimit,
        },
      );
    }
    for (const [name, value] of Object.entries(rateLimitHeaders(rateLimit))) c.header(name, value);
    await next();
  };
}
