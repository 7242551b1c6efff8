import { Hono } from 'hono';
import {
  type Tenant,
  type TenantRecord,
  tenantNameSchema,
  tenantRequestSchema,
} from '../../../sdk/contract/tenant.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import { mayDo } from '../../tenants/identity.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readJson } from '../read-body.ts';

/** `GET /v1/tenants` and `PUT /v1/tenants/:name`, for admins; `GET /v1/tenants/:name`, for its own keys too. */
export function tenantRoutes({ config, tenancy }: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .get('/tenants', async (c) => c.json<{ tenants: Tenant[] }>({ tenants: await tenancy.book.list() }))
    .get('/tenants/:name', async (c) => {
      const name = c.req.param('name');
      const isShown = name === c.get('tenant') || mayDo(c.get('identity'), 'admin');
      const tenant =
        isShown && tenantNameSchema.safeParse(name).success ? await tenancy.book.get(name) : undefined;
      if (!tenant) throw new PlatformError('tenant_not_found', 'there is no tenant of this name');
      return c.json<TenantRecord>({ ...tenant, usage: await tenancy.usageOf(tenant) });
    })
    .put('/tenants/:name', async (c) => {
      const name = tenantNameSchema.safeParse(c.req.param('name'));
      if (!name.success) {
        throw new PlatformError('invalid_request', `the tenant's name ${name.error.issues[0]?.message}`, {
          field: 'name',
        });
      }
      const { value } = await readJson(c, config.ONCEBOX_BODY_MAX_BYTES);
      const tenant = { name: name.data, ...tenantRequestSchema.parse(value) };
      await tenancy.book.put(tenant);
      return c.json<Tenant>(tenant);
    });
}
