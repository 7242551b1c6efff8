import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { Config } from '../../shared/config.ts';
import { isLoopback } from '../../shared/loopback.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import { accessOf } from '../access-rules.ts';
import type { GatewayEnv } from '../deps.ts';

/**
 * For a gateway that asks for no keys: who can reach it may call, and a browser on this machine can be made to call by any
 * page. What such a page sends carries its `Origin`, except for a plain GET. One whose name was made to resolve to our
 * address (DNS rebinding) is of our origin to the browser, and is known by its `Host`: on a loopback address nobody has
 * reason to call us by a name that is not of this machine. On other addresses we do not know our names.
 */
export function refuseForeignPages(
  config: Pick<Config, 'ONCEBOX_HOST' | 'ONCEBOX_CORS_ORIGINS'>,
): MiddlewareHandler<GatewayEnv> {
  const allowed = config.ONCEBOX_CORS_ORIGINS.split(',').map((origin) => origin.trim());
  const allowedOrigins = new Set(allowed.filter((origin) => origin !== ''));
  // Their pages may call; so it is no harm if they do by a name of theirs.
  const allowedHosts = new Set([...allowedOrigins].map((origin) => new URL(origin).hostname));
  const isOnLoopback = isLoopback(config.ONCEBOX_HOST);

  return (c, next) => {
    // It says nothing that is not public, and a health check comes by any name.
    if (accessOf(c.req.method, routePath(c, -1)) === 'open') return next();
    const { host, hostname } = addressed(c);
    if (isOnLoopback && !isOfThisMachine(hostname) && !allowedHosts.has(hostname)) {
      throw new PlatformError(
        'forbidden',
        `this platform asks for no keys, and is not called by the name "${hostname}": call it as localhost, or ask for keys (ONCEBOX_AUTH=required)`,
      );
    }
    const origin = c.req.header('origin');
    if (origin !== undefined && !allowedOrigins.has(origin) && hostOf(origin) !== host) {
      throw new PlatformError(
        'forbidden',
        'this platform asks for no keys, and pages of another origin may not call it: name theirs in ONCEBOX_CORS_ORIGINS, or ask for keys (ONCEBOX_AUTH=required)',
      );
    }
    return next();
  };
}

/** As the client calls us, without the port where it is HTTP's own. */
function addressed(c: Context): URL {
  const host = `http://${c.req.header('host') ?? ''}`;
  return new URL(URL.canParse(host) ? host : c.req.url);
}

/** RFC 6761, section 6.3: all names below "localhost" are of this machine. */
function isOfThisMachine(hostname: string): boolean {
  const bare = hostname.replace(/\.$/, '').replaceAll(/^\[|\]$/g, '');
  return isLoopback(bare) || bare.endsWith('.localhost');
}

/** Undefined for "null", which is the origin of pages that have none. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
