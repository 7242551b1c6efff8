import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import type { GatewayEnv } from '../deps.ts';

/** What a browser asks for again after so long: whether it may. */
const preflightMaxAgeSeconds = 600;

/**
 * Lets pages of these origins (`ONCEBOX_CORS_ORIGINS`) call the API and read its replies. Without cookies: who calls is
 * told by a key, which a foreign page does not have. What a function answers to HTTP is its own business.
 */
export function allowOrigins(origins: string): MiddlewareHandler<GatewayEnv> {
  const allow = cors({
    origin: origins === '*' ? origins : splitOrigins(origins),
    // Whatever else a request or a reply has, now or later: who may call may send and see it.
    allowHeaders: [],
    exposeHeaders: ['*'],
    maxAge: preflightMaxAgeSeconds,
  });
  return (c, next) => (/^\/(v1|api\/v2)\//.test(c.req.path) ? allow(c, next) : next());
}

function splitOrigins(origins: string): string[] {
  return origins.split(',').map((origin) => origin.trim());
}
