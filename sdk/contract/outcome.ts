import { z } from 'zod';

/** How an invocation ended: a closed set, discriminated on `status`. A failed outcome is a value, never thrown. */
export const outcomeSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('ok'),
    result: z.unknown().optional(),
    /** The result's own JSON, where its integers have more digits than `result` can hold: beyond 2^53. */
    resultJson: z.string().optional(),
  }),
  z.object({ status: z.literal('exited'), exitCode: z.number().int() }),
  z.object({
    status: z.literal('function_error'),
    name: z.string(),
    message: z.string(),
    stack: z.string(),
  }),
  /** `ms` is the cap; `usedMs` what had passed, or been used, when it was noticed. */
  z.object({
    status: z.literal('timeout'),
    limit: z.enum(['wall', 'cpu']),
    ms: z.number(),
    usedMs: z.number(),
  }),
  z.object({ status: z.literal('oom_killed'), memoryMaxBytes: z.number(), memoryPeakBytes: z.number() }),
  z.object({
    status: z.literal('limit_exceeded'),
    limit: z.enum(['pids', 'disk', 'inodes', 'output']),
    /** The cap that was hit, in the limit's own unit. */
    max: z.number(),
    /** The most that there was, in the same unit: at most the cap, as more is refused. */
    peak: z.number(),
  }),
  z.object({ status: z.literal('signaled'), signal: z.string() }),
  /** The language's compiler did not end ok, so nothing was run: the record's `compile` says how it ended. */
  z.object({ status: z.literal('compile_failed') }),
  z.object({ status: z.literal('cancelled') }),
  z.object({ status: z.literal('lost'), reason: z.string() }),
]);
export type Outcome = z.infer<typeof outcomeSchema>;
