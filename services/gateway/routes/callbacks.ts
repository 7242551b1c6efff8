import { Hono } from 'hono';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';

/** `GET` and `POST /v1/callback-secret`: what callbacks are signed with, and a new one. */
export function callbackRoutes({ callbackSecrets }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .get('/callback-secret', async (c) => c.json(await callbackSecrets.get(c.get('tenant'))))
    .post('/callback-secret', async (c) => c.json(await callbackSecrets.rotate(c.get('tenant'))));
}
