import { z } from 'zod';
import { tenantNameSchema } from './tenant.ts';

/**
 * What a key may do. They are independent of each other, but for `admin`: that is all of them, in every tenant.
 *   read    see functions, records, schedules, images and nodes
 *   invoke  run code, call functions, cancel
 *   deploy  change functions, secrets and schedules
 */
export const scopeSchema = z.enum(['read', 'invoke', 'deploy', 'admin']);
export type Scope = z.infer<typeof scopeSchema>;

export const keyIdSchema = z.string().regex(/^[a-z0-9]{1,32}$/);

/** Body of `POST /v1/keys`. */
export const createKeyRequestSchema = z.strictObject({
  /** For people; need not be unique. */
  name: z
    .string()
    .min(1)
    .max(100)
    .regex(/^[ -~\u00a0-\uffff]+$/, 'must have no control characters'),
  /** Whose it is; `default` unless given. */
  tenant: tenantNameSchema.optional(),
  scopes: z.array(scopeSchema).min(1).max(16),
  /** RFC 3339; from then on it opens nothing. */
  expiresAt: z.iso.datetime({ offset: true }).optional(),
});
export type CreateKeyRequest = z.input<typeof createKeyRequestSchema>;

/** What a key is, without what opens: an item of `GET /v1/keys`. */
export const apiKeySchema = z.object({
  id: keyIdSchema,
  name: z.string(),
  tenant: tenantNameSchema,
  scopes: z.array(scopeSchema),
  createdAt: z.string().describe('RFC 3339'),
  expiresAt: z.string().describe('RFC 3339').optional(),
});
export type ApiKey = z.infer<typeof apiKeySchema>;

export const keyListSchema = z.object({ keys: z.array(apiKeySchema) });

/** For clients that sign their requests (AWS Signature Version 4). */
const awsCredentialsSchema = z.object({ accessKeyId: z.string(), secretAccessKey: z.string() });
export type AwsCredentials = z.infer<typeof awsCredentialsSchema>;

/** Reply of `POST /v1/keys`: the only one that ever shows the key. */
export const createdKeySchema = apiKeySchema.extend({
  key: z.string().describe('goes into `Authorization: Bearer …` or `x-api-key`; shown this once'),
  /** The same key for clients of AWS; shown this once. Absent where the gateway has no admin key. */
  aws: awsCredentialsSchema.optional(),
});
export type CreatedKey = z.infer<typeof createdKeySchema>;
