import { z } from 'zod';
import { invocationSummarySchema } from './dead-letter.ts';
import { functionNameSchema } from './function.ts';
import { invocationSchema } from './invocation.ts';

/** Query of `GET /v1/invocations`. */
export const invocationListQuerySchema = z.strictObject({
  function: functionNameSchema.optional(),
  status: invocationSchema.shape.status.optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});
export type InvocationListQuery = z.infer<typeof invocationListQuerySchema>;

export const invocationListSchema = z.object({ invocations: z.array(invocationSummarySchema) });
