import { z } from 'zod';
import { errorBodySchema } from './error.ts';
import { functionReferenceSchema } from './function-reference.ts';

export const scheduleIdSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}$/,
    'must be 1 to 63 of a-z, 0-9, "-" and "_", beginning with a letter or digit',
  );

/** Schedules that a tenant may have. */
export const schedulesMax = 1000;
/** The event of a schedule, as JSON. */
export const scheduleEventMaxBytes = 65_536;

/** Five fields, or six that begin with seconds. The gateway says what is wrong with their contents. */
const cronSchema = z
  .string()
  .max(256)
  .regex(/^\S+(?: \S+){4,5}$/, 'must have five fields, or six with seconds first, with one space between');

const timeZoneSchema = z
  .string()
  .max(64)
  .regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/, 'must be a name of the IANA database, such as "Europe/Berlin"');

const everyMsSchema = z
  .number()
  .int()
  .min(1000)
  .max(366 * 86_400_000);

/** Of the calls, among others that wait. */
const prioritySchema = z.enum(['high', 'normal', 'low']);

/** Body of `PUT /v1/schedules/:id`. */
export const scheduleRequestSchema = z
  .strictObject({
    function: functionReferenceSchema,
    cron: cronSchema.optional(),
    everyMs: everyMsSchema.optional(),
    /** Whose clock `cron` is read by; UTC unless given. */
    timeZone: timeZoneSchema.optional(),
    /** What each call gets; null unless given. */
    event: z.unknown().optional(),
    /** False: it is kept and calls nothing. */
    enabled: z.boolean().default(true),
    priority: prioritySchema.default('normal'),
  })
  .superRefine(({ cron, everyMs, timeZone }, context) => {
    const refuse = (field: string, message: string) =>
      context.addIssue({ code: 'custom', path: [field], message });
    if ((cron === undefined) === (everyMs === undefined)) refuse('cron', 'give "cron" or "everyMs"');
    if (timeZone !== undefined && cron === undefined) refuse('timeZone', 'is for "cron"');
  });
export type ScheduleRequest = z.input<typeof scheduleRequestSchema>;
export type ParsedScheduleRequest = z.output<typeof scheduleRequestSchema>;

/** How it went the last time. */
const lastRunSchema = z.object({
  /** RFC 3339: when it was due, not when it was late. */
  dueAt: z.string(),
  /** Of the call, where there was one. */
  invocationId: z.string().optional(),
  /** Why there was none. */
  error: errorBodySchema.shape.error.optional(),
});

export const scheduleSchema = z.object({
  id: scheduleIdSchema,
  function: z.string(),
  cron: z.string().optional(),
  everyMs: z.number().int().optional(),
  timeZone: z.string().optional(),
  event: z.unknown(),
  enabled: z.boolean(),
  priority: prioritySchema,
  /** RFC 3339. */
  createdAt: z.string(),
  updatedAt: z.string(),
  /** RFC 3339; null where it calls nothing. */
  nextRunAt: z.string().nullable(),
  /** Times that it was due, since it was made. */
  runs: z.number().int(),
  lastRun: lastRunSchema.optional(),
});
export type Schedule = z.infer<typeof scheduleSchema>;
export type LastRun = z.infer<typeof lastRunSchema>;

export const scheduleListSchema = z.object({ schedules: z.array(scheduleSchema) });
