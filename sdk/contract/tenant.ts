import { z } from 'zod';

/** Whose functions, invocations and keys something is. */
export const tenantNameSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    'must be 1 to 63 of a-z, 0-9 and "-", beginning with a letter or digit',
  );

/** Whoever calls a platform that asks for no keys. */
export const defaultTenant = 'default';

const quotaFields = {
  /** Of all kinds, in a window of 60 s that begins with the first. */
  requestsPerMinute: z.number().int().min(1).max(1_000_000).optional(),
  /** Invocations that are accepted and not finished: those that wait and those that run. */
  concurrency: z.number().int().min(1).max(100_000).optional(),
  /** CPU time of all invocations that ended since midnight UTC. */
  cpuSecondsPerDay: z.number().int().min(1).max(100_000_000).optional(),
  /** Code of functions' versions and archives that are kept with records. */
  storageBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
};

/** What a tenant may use; what is not given has no bound but the platform's own. */
export const quotasSchema = z.object(quotaFields);
export type Quotas = z.infer<typeof quotasSchema>;

/** Body of `PUT /v1/tenants/:name`: these quotas and no others are the tenant's from then on. */
export const tenantRequestSchema = z.strictObject({ quotas: z.strictObject(quotaFields) });
export type TenantRequest = z.input<typeof tenantRequestSchema>;

export const tenantSchema = z.object({ name: tenantNameSchema, quotas: quotasSchema });
export type Tenant = z.infer<typeof tenantSchema>;

export const tenantListSchema = z.object({ tenants: z.array(tenantSchema) });

/** Reply of `GET /v1/tenants/:name`. */
export const tenantRecordSchema = tenantSchema.extend({
  usage: z.object({
    /** Counted where there is a quota of them. */
    requestsThisMinute: z.number().int().optional(),
    /** Counted where there is a quota of them. */
    concurrency: z.number().int().optional(),
    cpuSecondsToday: z.number(),
    storageBytes: z.number().int(),
  }),
});
export type TenantRecord = z.infer<typeof tenantRecordSchema>;
