import { Hono } from 'hono';
import { functionSettingsSchema } from '../../../sdk/contract/function-settings.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readJson, wellFormed } from '../read-body.ts';

/** `GET` and `PUT /v1/functions/:name/settings`: what holds for all versions of a function. */
export function functionSettingsRoutes({ config, registry }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .get('/functions/:name/settings', async (c) =>
      c.json(await registry.getSettings(c.req.param('name'), c.get('tenant'))),
    )
    .put('/functions/:name/settings', async (c) => {
      const { text, value } = await readJson(c, config.ONCEBOX_BODY_MAX_BYTES);
      const settings = functionSettingsSchema.parse(wellFormed(value, text));
      await registry.putSettings(c.req.param('name'), settings, c.get('tenant'));
      return c.json(settings);
    });
}
