import { Hono } from 'hono';
import { type AliasList, aliasNameSchema, aliasRequestSchema } from '../../../sdk/contract/alias.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readJson } from '../read-body.ts';

/** `PUT`, `DELETE /v1/functions/:name/aliases/:alias` and `GET /v1/functions/:name/aliases`. */
export function aliasRoutes({ config, registry }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .put('/functions/:name/aliases/:alias', async (c) => {
      const alias = aliasNameSchema.safeParse(c.req.param('alias'));
      if (!alias.success) {
        const message = `the alias ${alias.error.issues[0]?.message}`;
        throw new PlatformError('invalid_request', message, { field: 'alias' });
      }
      const { value } = await readJson(c, config.ONCEBOX_BODY_MAX_BYTES);
      const request = aliasRequestSchema.parse(value);
      return c.json(await registry.putAlias(c.req.param('name'), alias.data, request, c.get('tenant')));
    })
    .get('/functions/:name/aliases', async (c) =>
      c.json<AliasList>({ aliases: await registry.aliases(c.req.param('name'), c.get('tenant')) }),
    )
    .delete('/functions/:name/aliases/:alias', async (c) => {
      await registry.deleteAlias(c.req.param('name'), c.req.param('alias'), c.get('tenant'));
      return c.body(null, 204);
    });
}
