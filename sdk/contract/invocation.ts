import { z } from 'zod';
import { outcomeSchema } from './outcome.ts';

export const startKindSchema = z.enum(['warm', 'fork', 'cold']);
/** `warm`: from the pool; `fork`: the pool was empty, the zygote ready; `cold`: the zygote had to boot. */
export type StartKind = z.infer<typeof startKindSchema>;

const timingsSchema = z.object({
  /** Enqueued until a worker took it. */
  queueMs: z.number(),
  /** Taken until a sandbox was leased: ~0 when warm, shell and fork when not. */
  leaseMs: z.number(),
  /** Leased until the code was handed to the interpreter. */
  startMs: z.number(),
  /** Handed over until the main process exited or was killed. */
  runMs: z.number(),
  /** Exit until every process of the sandbox was gone. */
  discardMs: z.number(),
});
export type Timings = z.infer<typeof timingsSchema>;

const usageSchema = z.object({
  cpuMs: z.number(),
  memoryPeakBytes: z.number(),
  wallMs: z.number(),
});

/** The record of an invocation: the reply of `/v1/run` and of `GET /v1/invocations/:id`. */
export const invocationSchema = z.object({
  id: z.string(),
  status: z.enum(['queued', 'running', 'done', 'failed']),
  function: z.object({ name: z.string(), version: z.number().int(), digest: z.string() }).optional(),
  outcome: outcomeSchema.optional(),
  start: startKindSchema.optional(),
  image: z.object({ digest: z.string() }).optional(),
  timings: timingsSchema.optional(),
  usage: usageSchema.optional(),
  stdout: z.string(),
  stderr: z.string(),
  stdoutTruncated: z.boolean(),
  stderrTruncated: z.boolean(),
});
export type Invocation = z.infer<typeof invocationSchema>;
