import { z } from 'zod';
import { callbackStateSchema } from './callback.ts';
import { changeSchema } from './image.ts';
import { prioritySchema } from './invocation-options.ts';
import { isolationSchema } from './isolation.ts';
import { outcomeSchema } from './outcome.ts';

export const startKindSchema = z.enum(['warm', 'fork', 'cold']);
/** `warm`: from the pool; `fork`: the pool was empty, the zygote ready; `cold`: the zygote had to boot, or there is none. */
export type StartKind = z.infer<typeof startKindSchema>;

/** The phases of an invocation, one after the other, milliseconds. */
const timingsSchema = z.object({
  /** Request at the gateway until it was enqueued. */
  receiveMs: z.number(),
  /** Enqueued until a worker took it. */
  queueMs: z.number(),
  /** Taken until the node had room for its memory cap. */
  admitMs: z.number(),
  /** Until its image and its code were on the node's disk: ~0 but at first use. */
  prepareMs: z.number(),
  /** Of a language that is compiled: until what the compiler left was there to be run. */
  compileMs: z.number().optional(),
  /** Until a sandbox was leased: ~0 when warm, shell and fork when not. */
  leaseMs: z.number(),
  /** Leased until the code was handed to the interpreter. */
  startMs: z.number(),
  /** Handed over until the main process exited or was killed. */
  runMs: z.number(),
});
export type Timings = z.infer<typeof timingsSchema>;

const initSchema = z.object({
  /** As the interpreter itself says. */
  ms: z.number(),
  /** True: it ran once, in the function's zygote, and this is what it took there. False: it ran here, as part of `runMs`. */
  shared: z.boolean(),
});

/** What the invocation used, all its processes together. */
const usageSchema = z.object({
  cpuMs: z.number(),
  /** In the program, and in the kernel for it; together `cpuMs`. On cgroup v1 in the proportion that clock ticks saw. */
  cpuUserMs: z.number(),
  cpuSystemMs: z.number(),
  /** Kept off the CPU by the cap `cpus`. */
  throttledMs: z.number(),
  wallMs: z.number(),
  memoryPeakBytes: z.number(),
  /** Processes and threads at once; absent where the kernel does not say (Linux 6.9 does on v2, 6.11 on v1). */
  pidsPeak: z.number().int().optional(),
  /** The most that the writable layer was seen to hold. */
  writtenBytes: z.number(),
  /** How long some of its threads waited for each; cgroup v2 with PSI only. */
  pressure: z.object({ cpuMs: z.number(), memoryMs: z.number(), ioMs: z.number() }).optional(),
});

/**
 * Whether the record says what the program changed in its writable layer; `archive` keeps the contents too, as long as
 * the record.
 */
export const diffSchema = z.union([z.boolean(), z.literal('archive')]);

/** Query of `POST /v1/functions/:name/invoke`: `?diff=1` or `?diff=archive`. */
export const invokeQuerySchema = z.strictObject({
  diff: z
    .enum(['0', '1', 'true', 'false', 'archive'])
    .default('0')
    .transform((text) => (text === 'archive' ? text : text === '1' || text === 'true')),
});

/** What a program printed, as far as its caps let it. */
const printed = {
  stdout: z.string(),
  stderr: z.string(),
  stdoutTruncated: z.boolean(),
  stderrTruncated: z.boolean(),
};

/** How a language's compiler did, in a sandbox of its own with caps of its own. */
const compileStageSchema = z.object({
  outcome: outcomeSchema,
  start: startKindSchema.optional(),
  usage: usageSchema.optional(),
  ...printed,
});
export type CompileStage = z.infer<typeof compileStageSchema>;

/** The record of an invocation: the reply of `/v1/run` and of `GET /v1/invocations/:id`. */
export const invocationSchema = z.object({
  id: z.string(),
  status: z.enum(['queued', 'running', 'done', 'failed']),
  function: z.object({ name: z.string(), version: z.number().int(), digest: z.string() }).optional(),
  outcome: outcomeSchema.optional(),
  priority: prioritySchema.optional(),
  /** Which run of it this is, from 1: asynchronous ones are run again where the function's settings say so. */
  attempt: z.number().int().min(1).optional(),
  /** The dead letter that it runs again. */
  redriveOf: z.string().optional(),
  start: startKindSchema.optional(),
  /** Which wall it was. */
  isolation: isolationSchema.optional(),
  /** What it ran on: the function's version or the image. `reference` is what the request called it. */
  image: z.object({ digest: z.string(), reference: z.string().optional() }).optional(),
  timings: timingsSchema.optional(),
  /** Initialisation of the function: imports and top-level code. */
  init: initSchema.optional(),
  usage: usageSchema.optional(),
  /** Of a run by `language`: which one, and its version as it is installed. */
  language: z.object({ name: z.string(), version: z.string() }).optional(),
  /**
   * Of a language that is compiled. All else here is of the run: without `start`, `usage` and output where it did not come
   * to that.
   */
  compile: compileStageSchema.optional(),
  ...printed,
  /** With `Oncebox-Callback`: what became of that. */
  callback: callbackStateSchema.optional(),
  /** Of a result that was streamed, its length: it is in the events, and `outcome.result` is null. */
  streamedBytes: z.number().int().optional(),
  /** With `diff`: what the program did to its writable layer, in the order of the archive. */
  changes: z.array(changeSchema).optional(),
  /** Only the first 10,000 changes are listed. */
  changesTruncated: z.boolean().optional(),
  /** With `diff: "archive"`: how large the tar at `/v1/invocations/:id/files` is. */
  files: z.object({ sizeBytes: z.number().int() }).optional(),
  /** What of the diff could not be had, and why. */
  diffError: z.string().optional(),
});
export type Invocation = z.infer<typeof invocationSchema>;
