import { z } from 'zod';
import { diffSchema, invocationSchema } from '../../sdk/contract/invocation.ts';
import { prioritySchema } from '../../sdk/contract/invocation-options.ts';
import { isolationSchema } from '../../sdk/contract/isolation.ts';
import { limitsSchema } from '../../sdk/contract/limits.ts';
import { commandSchema, programSchema } from '../../sdk/contract/program.ts';
import { runtimeNameSchema } from '../../sdk/contract/runtime-name.ts';
import { secretNamesSchema } from '../../sdk/contract/secret.ts';
import { defaultTenant, tenantNameSchema } from '../../sdk/contract/tenant.ts';
import { traceContextSchema } from '../telemetry/trace-context.ts';

/** Names on Redis. A test of the tree's own uses another prefix, so that nodes do not see each other. */
export const invocationQueueName = 'invocations';
/** BullMQ's key prefix, for the gateway's Queue and the worker's Worker. */
export const queuePrefix = 'oncebox';
/** BullMQ's keys of the queue; `queueKey('')` is the prefix of jobs' keys. */
export const queueKey = (name: string) => `${queuePrefix}:${invocationQueueName}:${name}`;
/** Hash: each flow's last tag, `<tenant>/<priority>` → number, and `top`, the greatest of all. */
export const flowsKey = 'oncebox:queue-flows';

/**
 * The BullMQ job of one invocation: the job's id is the invocation's id, its data this, its return value an
 * `Invocation`. Parsed by the worker: a job may come from a gateway of another release.
 */
export const invocationJobSchema = z.object({
  tenant: tenantNameSchema.default(defaultTenant),
  /** Absent: normal. */
  priority: prioritySchema.optional(),
  /** Somebody waits for the result: it is told as it comes, and run no second time. */
  isAwaited: z.boolean().optional(),
  /** The dead letter that it runs again. */
  redriveOf: z.string().optional(),
  /** Absent where an image's command runs, or a language's. */
  runtime: runtimeNameSchema.optional(),
  /** What the record says of it: what that takes is in the job. */
  language: invocationSchema.shape.language,
  /** What to stack, where that is not the runtime's base image as the worker knows it. */
  image: z.object({ reference: z.string(), digest: z.string() }).optional(),
  /** Of the image or the request; the worker looks it up in the image. Absent: one of the sandbox's own. */
  user: z.string().optional(),
  /** Absolute; absent: `/work`, made for the sandbox. */
  workingDir: z.string().startsWith('/').optional(),
  /** Digest hex of a function version's code layer, on top of the image; the worker fetches it. */
  codeLayer: z
    .string()
    .regex(/^[a-f0-9]{64}$/)
    .optional(),
  function: invocationSchema.shape.function,
  /** The function as the caller named it, perhaps with a version or an alias; absent from older gateways. */
  reference: z.string().optional(),
  /** False: the version is not to be initialised in a zygote. */
  zygote: z.boolean().optional(),
  /** Digest of the image's manifest where the gateway knows it (function versions). */
  imageDigest: z.string().optional(),
  /** Names; the worker reads what they are when it runs the program. Never a value. */
  secrets: secretNamesSchema.optional(),
  program: programSchema,
  /**
   * Runs before, on the same image, in a sandbox of its own; what it leaves in the working directory is put there for
   * `program`, which is a command then.
   */
  compile: z.object({ program: commandSchema, limits: limitsSchema }).optional(),
  stdin: z.string(),
  limits: limitsSchema,
  diff: diffSchema.optional(),
  /** Absent: native. */
  isolation: isolationSchema.optional(),
  /** Who wants to be told of its end. */
  callback: z.object({ url: z.string() }).optional(),
  /** Its events are written from the start: somebody follows it. */
  events: z.boolean().optional(),
  /** `stdin` is only its beginning: more of it, and signals, come while it runs. */
  interactive: z.boolean().optional(),
  /** When the request reached the gateway and when it was enqueued; absent from older gateways. */
  receivedAtMs: z.number().describe('Unix time, milliseconds with fractions').optional(),
  enqueuedAtMs: z.number().describe('Unix time, milliseconds with fractions').optional(),
  /** Names the request in the logs of gateway and worker. */
  requestId: z.string().max(64).optional(),
  /** What the worker's spans belong to; absent where nobody traces. */
  trace: traceContextSchema.optional(),
  /** Pub/sub channel on which the enqueuing gateway wants the finished Invocation as JSON. */
  replyTo: z.string(),
});
export type InvocationJob = z.infer<typeof invocationJobSchema>;

/** The record of an invocation that was cancelled before a worker took it. */
export const cancelledKey = (id: string) => `oncebox:cancelled:${id}`;
/** Their ids, by the time in ms. */
export const cancelledIndexKey = 'oncebox:cancelled-at';

/** Of a job's hash: somebody cancelled it while it was with a worker. */
export const cancelledField = 'cancelled';

/** Channel on which gateways ask every worker to cancel: the message is an invocation id. */
export const cancelChannel = 'oncebox:cancel';
