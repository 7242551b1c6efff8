import { Hono } from 'hono';
import { rollbackRequestSchema } from '../../../sdk/contract/alias.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readJson } from '../read-body.ts';

/** `POST /v1/functions/:name/rollback` and `DELETE /v1/functions/:name/versions/:version`. */
export function versionRoutes({ config, registry }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .post('/functions/:name/rollback', async (c) => {
      const { value = {} } = await readJson(c, config.ONCEBOX_BODY_MAX_BYTES);
      const { version } = rollbackRequestSchema.parse(value);
      return c.json(await registry.rollback(c.req.param('name'), version, c.get('tenant')));
    })
    .delete('/functions/:name/versions/:version', async (c) => {
      const { name, version } = c.req.param();
      if (!/^[1-9][0-9]{0,8}$/.test(version))
        throw new PlatformError(
          'version_not_found',
          `there is no version ${JSON.stringify(version.slice(0, 60))}`,
        );
      await registry.deleteVersion(name, Number(version), c.get('tenant'));
      return c.body(null, 204);
    });
}
