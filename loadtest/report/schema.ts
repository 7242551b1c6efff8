import { z } from 'zod';

/** A measured number. What could not be measured is NaN here and, as JSON has no NaN, null in a file. */
const figure = z.preprocess(
  (value) => (value === null || value === Infinity || value === -Infinity ? Number.NaN : value),
  z.number().or(z.nan()),
);
const count = z.int().min(0);

/** How samples lie, in the unit of the field that holds it; percentiles by nearest rank, NaN when `count` is 0. */
const spreadSchema = z.object({
  count,
  min: figure,
  p50: figure,
  p90: figure,
  p99: figure,
  p999: figure,
  max: figure,
  mean: figure,
});

const machineSchema = z.object({
  kernel: z.string(),
  cores: count,
  /** Of the processor. */
  model: z.string(),
  memoryBytes: count,
  /** Load averages over 1, 5 and 15 minutes, before anything of ours ran. */
  loadBefore: z.tuple([figure, figure, figure]),
  cgroups: z.string(),
  node: z.string(),
  revision: z.string(),
  /** What held the processors back meanwhile, in words; null when nothing was to be seen. */
  throttling: z.string().nullable(),
  /** Null on bare metal. */
  virtualization: z.string().nullable(),
  /** `remote`: all of this is the machine that sent the load, and nothing is known of the other. */
  client: z.enum(['local', 'remote']).optional(),
});

/** One measured load: a workload at one setting. Its name is unique in a report together with `concurrency`. */
const seriesSchema = z.object({
  name: z.string(),
  scenario: z.string(),
  workload: z.string(),
  /** closed: each client waits for its answer before it asks again. open: requests leave by the clock. */
  generator: z.enum(['closed', 'open']),
  concurrency: count.optional(),
  /** Of an open generator, requests a second. */
  targetRate: figure.optional(),
  /** As the client sees it; from the moment it was due for an open generator. */
  latencyMs: spreadSchema,
  /** [milliseconds, share of the samples that were as quick or quicker, 0 to 1], both ascending. */
  latencyCdf: z.array(z.tuple([figure, figure])),
  /** Right answers a second. */
  ratePerSecond: figure,
  seconds: figure,
  requests: count,
  failures: count,
  failureSamples: z.array(z.string()),
  /** Right answers by start kind. */
  starts: z.record(z.string(), count),
  /** By the phase's name in a reply, such as `queueMs`. */
  phaseMs: z.record(z.string(), spreadSchema),
  /** What building a zygote took, where a request had to wait for it. */
  initMs: spreadSchema.optional(),
});

const densityPointSchema = z.object({
  alive: count,
  answering: count,
  /** By how much less memory was available with all of them alive. */
  unavailableBytes: figure,
  /** What their cgroups were charged. */
  cgroupBytes: figure,
  /** unavailableBytes / alive */
  perSandboxBytes: figure,
});

const residueSchema = z.record(z.string(), count);

const densitySchema = z.object({
  workload: z.string(),
  points: z.array(densityPointSchema),
  /** Least squares over `points`: unavailable memory that one more takes. */
  slopeBytes: figure,
  /** What is left when all of them are gone, by kind. */
  residue: residueSchema.optional(),
});

/** [seconds since the load began, value in `unit`] */
const timelineSchema = z.object({
  name: z.string(),
  /** `bytes`, or words such as `answers a second`. */
  unit: z.string(),
  points: z.array(z.tuple([figure, figure])),
});

/** Another way to run a program apart, measured in the same run. */
const controlSchema = z.object({
  name: z.string(),
  version: z.string().nullable(),
  available: z.boolean(),
  /** Why it is not available. */
  reason: z.string().optional(),
  latencyMs: spreadSchema.optional(),
  ratePerSecond: figure.optional(),
  /** In flight while the rate was measured. */
  concurrency: count.optional(),
});

/** A part of our own path alone, which the whole cannot beat. */
const floorSchema = z.object({
  name: z.string(),
  latencyMs: spreadSchema,
  ratePerSecond: figure.optional(),
  concurrency: count.optional(),
});

/** `value` = figure of `of` / figure of `to`, both from this run. */
const ratioSchema = z.object({
  name: z.string(),
  value: figure,
  target: z.object({ op: z.enum(['<=', '>=']), value: figure }).optional(),
  met: z.boolean().optional(),
  of: z.string(),
  to: z.string(),
});

/** A run of the load tester, as it is kept in a file. */
export const reportSchema = z.object({
  schema: z.literal(1),
  /** When it began, RFC 3339. */
  at: z.string(),
  tool: z.literal('oncebox loadtest'),
  /** What was asked. */
  url: z.string(),
  scenarios: z.array(z.string()),
  seed: z.int(),
  machine: machineSchema,
  floors: z.array(floorSchema),
  controls: z.array(controlSchema),
  series: z.array(seriesSchema),
  density: z.array(densitySchema),
  timelines: z.array(timelineSchema),
  /** What there was of ours before and after, by kind. */
  residue: z.object({ before: residueSchema, after: residueSchema }).optional(),
  ratios: z.array(ratioSchema),
  notes: z.array(z.string()),
});

export type Spread = z.infer<typeof spreadSchema>;
export type Machine = z.infer<typeof machineSchema>;
export type Series = z.infer<typeof seriesSchema>;
export type Density = z.infer<typeof densitySchema>;
export type Timeline = z.infer<typeof timelineSchema>;
export type Control = z.infer<typeof controlSchema>;
export type Floor = z.infer<typeof floorSchema>;
export type Ratio = z.infer<typeof ratioSchema>;
export type Report = z.infer<typeof reportSchema>;
