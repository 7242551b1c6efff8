import { z } from 'zod';
import { invocationSchema, startKindSchema } from './invocation.ts';

/** RFC 9110, 5.1 and 5.5: a token, and characters of ISO 8859-1 without controls. */
const headerSchema = z.tuple([
  z
    .string()
    .max(256)
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/),
  z
    .string()
    .max(65_536)
    .regex(/^[\t\x20-\x7e\x80-\xff]*$/),
]);

/** Status and headers of a function's HTTP response. Of headers that occur more than once each is a pair of its own. */
export const responseHeadSchema = z.object({
  status: z.number().int().min(200).max(599),
  headers: z.array(headerSchema).max(256),
});
export type ResponseHead = z.infer<typeof responseHeadSchema>;

/** A piece of a streamed result: text as the handler gave it, or bytes in base64. */
const chunkSchema = z.union([z.object({ text: z.string() }), z.object({ base64: z.string() })]);
export type ResultChunk = z.infer<typeof chunkSchema>;

const stageNameSchema = z.enum(['compile', 'run']);
/** Each in a sandbox of its own. */
export type StageName = z.infer<typeof stageNameSchema>;

const outputShape = {
  /** Whole characters: what the program has not finished writing is in a later one. What is no UTF-8 is U+FFFD. */
  text: z.string(),
  /** The bytes as they were, where they are not UTF-8. */
  base64: z.string().optional(),
};

/** What is kept of an invocation while it runs, in the order in which the worker saw it. */
export const outputEventSchema = z.union([
  /** A sandbox is leased, and the program, or its compiler, is about to run. */
  z.object({ type: z.literal('started'), id: z.string(), start: startKindSchema }),
  /** Of a language that is compiled: what follows is of the compiler, or of the program. */
  z.object({ type: z.literal('stage'), stage: stageNameSchema, start: startKindSchema }),
  z.object({ type: z.literal('stdout'), ...outputShape }),
  z.object({ type: z.literal('stderr'), ...outputShape }),
  /** Before the chunks of a response that is streamed. */
  z.object({ type: z.literal('head'), ...responseHeadSchema.shape }),
  z.object({ type: z.literal('chunk'), text: z.string() }),
  z.object({ type: z.literal('chunk'), base64: z.string() }),
]);
export type OutputEvent = z.infer<typeof outputEventSchema>;

/** An event of `text/event-stream`: `type` is its name there, and the rest its data. */
export const invocationEventSchema = z.union([
  outputEventSchema,
  /** The last one: the record. */
  z.object({ type: z.literal('end'), invocation: invocationSchema }),
]);
export type InvocationEvent = z.infer<typeof invocationEventSchema>;

/** Query of `GET /v1/invocations/:id/logs`. */
export const logsQuerySchema = z.strictObject({
  /** Both, in the order in which they came, unless one is named. */
  stream: z.enum(['stdout', 'stderr']).optional(),
  /** Of what there is already, the last so many lines. */
  tail: z.coerce.number().int().min(0).max(1_000_000).optional(),
  /** Until the invocation ends. */
  follow: z
    .enum(['0', '1', 'true', 'false'])
    .default('0')
    .transform((text) => text === '1' || text === 'true'),
});
