import { Hono } from 'hono';
import {
  type SecretList,
  secretBytes,
  secretNameSchema,
  secretRequestSchema,
} from '../../../sdk/contract/secret.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readJson, wellFormed } from '../read-body.ts';

/** `PUT`, `DELETE /v1/secrets/:name` and `GET /v1/secrets`. No reply ever holds a value. */
export function secretRoutes({ config, secrets }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .put('/secrets/:name', async (c) => {
      const name = secretNameSchema.safeParse(c.req.param('name'));
      if (!name.success) {
        const message = `the secret's name ${name.error.issues[0]?.message}`;
        throw new PlatformError('invalid_request', message, { field: 'name' });
      }
      const { text, value } = await readJson(c, config.ONCEBOX_BODY_MAX_BYTES);
      const request = secretRequestSchema.parse(wellFormed(value, text));
      const summary = await secrets.put(name.data, secretBytes(request), c.get('tenant'));
      return c.json(summary, summary.version === 1 ? 201 : 200);
    })
    .get('/secrets', async (c) => c.json<SecretList>({ secrets: await secrets.list(c.get('tenant')) }))
    .delete('/secrets/:name', async (c) => {
      await secrets.delete(c.req.param('name'), c.get('tenant'));
      return c.body(null, 204);
    });
}
