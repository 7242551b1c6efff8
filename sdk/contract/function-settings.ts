import { z } from 'zod';

/** Outcomes that a function may ask to be run again after. */
export const retriedOutcomeSchema = z.enum([
  'function_error',
  'exited',
  'timeout',
  'oom_killed',
  'limit_exceeded',
  'signaled',
  /** Its worker died, or its sandbox was lost, when the program had been started: it may have had effects. */
  'lost',
]);

const hourMs = 3_600_000;
const retrySchema = z.strictObject({
  /** All runs of one invocation, the first included. */
  attempts: z.number().int().min(1).max(10),
  on: z.array(retriedOutcomeSchema).min(1).max(retriedOutcomeSchema.options.length),
  /** Between the first and the second run; twice as long each time, up to `backoffMaxMs`. */
  backoffMs: z.number().int().min(10).max(hourMs).default(1_000),
  backoffMaxMs: z
    .number()
    .int()
    .min(10)
    .max(24 * hourMs)
    .default(60_000),
});

/** What holds for all versions of a function, and can be changed without a deploy. */
export const functionSettingsSchema = z.strictObject({
  /**
   * How many of its invocations run at once, on all nodes together; no bound unless given. It holds for what is accepted from then
   * on. With 0 none does: who waits for a result is refused, others wait until it is raised.
   */
  concurrency: z.number().int().min(0).max(10_000).optional(),
  /** Sandboxes that are kept parked on the nodes: of the current version, and as many for each alias, shared out by its weights. */
  keepWarm: z.number().int().min(0).max(1_000).optional(),
  /** After which outcomes an asynchronous invocation is run again; none unless given. */
  retry: retrySchema.optional(),
  /** Whether asynchronous invocations that did not end `ok` are kept; true unless given. */
  deadLetter: z.boolean().optional(),
});
export type FunctionSettings = z.infer<typeof functionSettingsSchema>;
