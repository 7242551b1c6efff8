import { z } from 'zod';
import { callbackUrlSchema } from './callback.ts';
import { errorBodySchema } from './error.ts';
import { invocationSchema } from './invocation.ts';

/** The most events of one batch. */
export const batchEventsMax = 1000;

/** Of one call, in place of what the request's headers say for all. */
const batchOptionsSchema = z.strictObject({
  /** As the header `Oncebox-Priority`. */
  priority: z.enum(['high', 'normal', 'low']).optional(),
  /** As the header `Oncebox-Callback`. */
  callback: callbackUrlSchema.optional(),
});

/** Body of `POST /v1/functions/:name/batch`: one asynchronous call for each event. */
export const batchRequestSchema = z
  .strictObject({
    events: z.array(z.unknown()).min(1).max(batchEventsMax),
    /** For the events in the same places; null, and what is not given, is as for all. */
    options: z.array(batchOptionsSchema.nullable()).max(batchEventsMax).optional(),
  })
  .refine(({ events, options = [] }) => options.length <= events.length, {
    path: ['options'],
    message: 'there are more of them than events',
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
