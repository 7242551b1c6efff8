import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import {
  tenantListSchema,
  tenantNameSchema,
  tenantRecordSchema,
  tenantRequestSchema,
  tenantSchema,
} from '../../../../sdk/contract/tenant.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';

named('TenantName', tenantNameSchema);
named('Tenant', tenantSchema);
const tenantName = z.object({ name: tenantNameSchema });

export const tenantOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/tenants',
    operationId: 'listTenants',
    summary: 'The tenants, with their quotas',
    responses: { 200: reply('Sorted by name.', json(tenantListSchema)), ...errors() },
  },
  {
    method: 'get',
    path: '/v1/tenants/{name}',
    operationId: 'getTenant',
    summary: 'A tenant, with its quotas and what it uses of them',
    request: { params: tenantName },
    responses: {
      200: reply(
        'As of now; CPU time is some seconds behind.',
        json(named('TenantRecord', tenantRecordSchema)),
      ),
      ...errors('tenant_not_found'),
    },
  },
  {
    method: 'put',
    path: '/v1/tenants/{name}',
    operationId: 'putTenant',
    summary: "Sets a tenant's quotas; those that are not given are lifted",
    request: {
      params: tenantName,
      body: {
        required: true,
        content: json(tenantRequestSchema, { quotas: { requestsPerMinute: 600, concurrency: 20 } }),
      },
    },
    responses: {
      200: reply('In force at this gateway, and at others as soon as they hear of it.', json(tenantSchema)),
      ...errors('invalid_request', 'body_too_large'),
    },
  },
];
