import { Hono } from 'hono';
import {
  type ApiKey,
  type CreatedKey,
  createKeyRequestSchema,
  keyIdSchema,
} from '../../../sdk/contract/key.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readJson, wellFormed } from '../read-body.ts';

/** `POST`, `GET /v1/keys` and `DELETE /v1/keys/:id`: keys of all tenants, for admins. */
export function keyRoutes({ config, tenancy }: Pick<GatewayDeps, 'config' | 'tenancy'>): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .post('/keys', async (c) => {
      const { text, value } = await readJson(c, config.ONCEBOX_BODY_MAX_BYTES);
      const {
        name,
        tenant = c.get('tenant'),
        scopes,
        expiresAt,
      } = createKeyRequestSchema.parse(wellFormed(value, text));
      if (expiresAt !== undefined && Date.parse(expiresAt) <= Date.now())
        throw new PlatformError('invalid_request', 'expiresAt: lies in the past', { field: 'expiresAt' });
      await tenancy.book.ensure(tenant);
      const created = await tenancy.keys.create({ name, tenant, scopes, expiresAt });
      c.get('logger').info({ created: { keyId: created.id, tenant, scopes: created.scopes } }, 'key created');
      // Neither a cache between nor a browser keeps what is shown once.
      return c.json<CreatedKey>(created, 201, { 'cache-control': 'no-store' });
    })
    .get('/keys', async (c) => c.json<{ keys: ApiKey[] }>({ keys: await tenancy.keys.list() }))
    .delete('/keys/:id', async (c) => {
      const id = keyIdSchema.safeParse(c.req.param('id'));
      if (!id.success) throw new PlatformError('key_not_found', 'there is no key of this id');
      await tenancy.keys.delete(id.data);
      c.get('logger').info({ deleted: { keyId: id.data } }, 'key deleted');
      return c.body(null, 204);
    });
}
