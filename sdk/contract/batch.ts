import { z } from 'zod';
import { errorBodySchema } from './error.ts';
import { invocationSchema } from './invocation.ts';

/** The most events of one batch. */
export const batchEventsMax = 1000;

/** Body of `POST /v1/functions/:name/batch`: one asynchronous call for each event. */
export const batchRequestSchema = z.strictObject({
  events: z.array(z.unknown()).min(1).max(batchEventsMax),
});
export type BatchRequest = z.input<typeof batchRequestSchema>;

const batchItemSchema = z.union([
  invocationSchema.pick({ id: true, status: true }),
  /** It was refused; the others were not, for that. */
  errorBodySchema,
]);
export type BatchItem = z.infer<typeof batchItemSchema>;

/** Reply of a batch: what became of each event, in their order. */
export const batchReplySchema = z.object({ invocations: z.array(batchItemSchema) });
