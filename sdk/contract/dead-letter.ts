import { z } from 'zod';
import { functionNameSchema } from './function.ts';
import { invocationSchema } from './invocation.ts';

/** A record without what the program printed. */
export const invocationSummarySchema = invocationSchema.omit({ stdout: true, stderr: true });
export type InvocationSummary = z.infer<typeof invocationSummarySchema>;

/** An asynchronous invocation of a function whose last run did not end `ok`. */
export const deadLetterSchema = z.object({
  /** The invocation's. */
  id: z.string(),
  function: z.string(),
  invocation: invocationSummarySchema,
  diedAt: z.string().describe('RFC 3339'),
  /** How often it was run. */
  attempts: z.number().int(),
});
export type DeadLetter = z.infer<typeof deadLetterSchema>;

export const deadLetterListSchema = z.object({ deadLetters: z.array(deadLetterSchema) });

const limitSchema = z.coerce.number().int().min(1).max(100).default(20);

/** Query of `GET /v1/dead-letters`. */
export const deadLetterQuerySchema = z.strictObject({
  function: functionNameSchema.optional(),
  limit: limitSchema,
});
