import {
  type ApiKey,
  type CreatedKey,
  type CreateKeyRequest,
  createdKeySchema,
  keyListSchema,
} from './contract/key.ts';
import {
  type Tenant,
  type TenantRecord,
  type TenantRequest,
  tenantListSchema,
  tenantRecordSchema,
  tenantSchema,
} from './contract/tenant.ts';
import { type CallOptions, call, type Send } from './send.ts';

/** Needs a key of scope `admin`, or a platform that asks for none. */
export interface KeyClient {
  /** The reply is the only one that ever shows the key itself. */
  createKey(request: CreateKeyRequest, options?: CallOptions): Promise<CreatedKey>;
  /** Oldest first. */
  keys(options?: CallOptions): Promise<ApiKey[]>;
  /** It opens nothing any more: at this gateway at once, at others within seconds. */
  deleteKey(id: string, options?: CallOptions): Promise<void>;
  /** Sorted by name. */
  tenants(options?: CallOptions): Promise<Tenant[]>;
  /** With what it uses of its quotas. For keys of that tenant with `read` too. */
  tenant(name: string, options?: CallOptions): Promise<TenantRecord>;
  /** Quotas that are not given are lifted. */
  putTenant(name: string, request: TenantRequest, options?: CallOptions): Promise<Tenant>;
}

export function createKeyClient(send: Send): KeyClient {
  const tenantPath = (name: string) => `/v1/tenants/${encodeURIComponent(name)}`;
  return {
    createKey: (json, options) => call(send, createdKeySchema, 'POST', '/v1/keys', { ...options, json }),
    keys: async (options) => (await call(send, keyListSchema, 'GET', '/v1/keys', options)).keys,
    deleteKey: async (id, options) =>
      void (await send('DELETE', `/v1/keys/${encodeURIComponent(id)}`, options)),
    tenants: async (options) => (await call(send, tenantListSchema, 'GET', '/v1/tenants', options)).tenants,
    tenant: (name, options) => call(send, tenantRecordSchema, 'GET', tenantPath(name), options),
    putTenant: (name, json, options) =>
      call(send, tenantSchema, 'PUT', tenantPath(name), { ...options, json }),
  };
}
