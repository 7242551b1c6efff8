import { z } from 'zod';
import { startKindSchema } from './invocation.ts';
import { isolationSchema } from './isolation.ts';
import { runtimeNameSchema } from './runtime-name.ts';
import { tenantNameSchema } from './tenant.ts';

/** A worker process that takes invocations from the queue. */
export const nodeInfoSchema = z.object({
  /** Unique among the nodes of one Redis. */
  node: z.string(),
  pid: z.number().int(),
  /** Invocations it runs at once. */
  concurrency: z.number().int(),
  startedAt: z.string().describe('RFC 3339'),
  /** Walls that it can put around a program; of a node of an earlier release, ours alone. */
  isolations: z.array(isolationSchema).default(['native']),
});
export type NodeInfo = z.infer<typeof nodeInfoSchema>;

export const nodeListSchema = z.object({ nodes: z.array(nodeInfoSchema) });

/** What a container is, now: an item of `GET /v1/sandboxes`. */
export const sandboxRecordSchema = z.object({
  id: z.string(),
  state: z.enum(['created', 'running', 'paused', 'stopped', 'dead']),
  /** Absent where a plain image runs: its command is executed, by no interpreter of ours. */
  runtime: runtimeNameSchema.optional(),
  image: z.object({ digest: z.string(), reference: z.string().optional() }),
  /** How the invocation's start was or will be: a parked one is `warm`. */
  start: startKindSchema,
  /** What it has written so far. */
  writableBytes: z.number(),
  /** `writableBytes` and the image, which all sandboxes on it share. */
  virtualBytes: z.number(),
  memoryBytes: z.number(),
  memoryPeakBytes: z.number(),
  ageMs: z.number(),
  node: z.string(),
  invocationId: z.string().optional(),
  /** Whose invocation that is. */
  tenant: tenantNameSchema.optional(),
  function: z.string().optional(),
});
export type SandboxRecord = z.infer<typeof sandboxRecordSchema>;

/** Reply of `GET /v1/sandboxes`; nodes that did not answer in time are named, so that a gap shows. */
export const sandboxListSchema = z.object({
  sandboxes: z.array(sandboxRecordSchema),
  silentNodes: z.array(z.string()),
});
export type SandboxList = z.infer<typeof sandboxListSchema>;
