import { Hono } from 'hono';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { openApiDocument } from '../openapi/document.ts';

/** `GET /openapi.json`: what this gateway serves, with the limits that it allows. */
export function openApiRoutes({ config }: GatewayDeps): Hono<GatewayEnv> {
  let document: string | undefined;
  return new Hono<GatewayEnv>().get('/openapi.json', (c) => {
    document ??= JSON.stringify(openApiDocument(config.ONCEBOX_MAX_LIMITS));
    return c.body(document, 200, { 'content-type': 'application/json' });
  });
}
