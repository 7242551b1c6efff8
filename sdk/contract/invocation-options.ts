import { z } from 'zod';

/** Which of a tenant's waiting invocations go first: a share of the turns, so that none waits for ever. */
export const prioritySchema = z.enum(['high', 'normal', 'low']);
export type Priority = z.infer<typeof prioritySchema>;
export const defaultPriority: Priority = 'normal';

/** Two requests of one tenant with the same key, within 24 hours, are one. */
const idempotencyKeySchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible characters of ASCII, without spaces');

/** Headers of every request that invokes; one that is not given has its default. */
export const invocationHeadersSchema = z.object({
  'idempotency-key': idempotencyKeySchema.optional(),
  'oncebox-priority': prioritySchema.default(defaultPriority),
});
