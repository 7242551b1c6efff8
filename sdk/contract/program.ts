import { z } from 'zod';

// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what is refused
const withoutNul = /^[^\x00]*$/;
const badPath = 'must be a relative path without "..", "//", control characters or parts over 255 bytes';
/** Parts with "/" between them, none of which is empty, "." or "..". */
const containedPath =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  /^(?!\.{1,2}(?:\/|$))[^\x00-\x1f\x7f\\/]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[^\x00-\x1f\x7f\\/]{1,255})*$/;

const utf8 = new TextEncoder();

/** What can be the value of a header. */
const headerText = z.string().regex(/^[\x20-\x7e]*$/, 'must be printable ASCII');

/** A path inside the working directory: relative, no `..`, no empty part, no control character, ≤ 255 bytes a part. */
export const relativePathSchema = z
  .string()
  .min(1)
  .max(1024)
  .regex(containedPath, badPath)
  .refine((path) => path.split('/').every((part) => utf8.encode(part).length <= 255), badPath);

export const fileSchema = z.strictObject({
  path: relativePathSchema,
  content: z.string(),
  encoding: z.enum(['utf8', 'base64']).default('utf8'),
});
export type SourceFile = z.infer<typeof fileSchema>;

/** Environment variables: POSIX names; the values may not hold NUL. */
export const envSchema = z.record(
  z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a POSIX variable name')
    .max(256),
  z.string().max(131_072).regex(withoutNul, 'must not contain NUL'),
);

/** As `envSchema`, with the names that an image's configuration may have too: all that a process can be given. */
const programEnvSchema = z.record(
  z
    .string()
    .min(1)
    .max(4096)
    .refine((name) => !/[=\0]/.test(name), 'must not contain "=" or NUL'),
  z.string().refine((value) => !value.includes('\0'), 'must not contain NUL'),
);

/** An argument of a program. */
export const argumentSchema = z.string().max(131_071).regex(withoutNul, 'must not contain NUL');

/** `file.export`, as Lambda writes it: `index.handler` is the export `handler` of `index.mjs`, `.js`, `.cjs` or `.py`. */
export const handlerSchema = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_\-/]*\.[A-Za-z_$][A-Za-z0-9_$]*$/, 'must look like "index.handler"');

export const commandSchema = z.object({
  kind: z.literal('command'),
  /** The first is looked up in the PATH of `env`. */
  argv: z.array(z.string()).min(1),
  /** All of it but HOME, which the worker adds where it is missing: it knows the image's users. */
  env: programEnvSchema,
  /** Put into the working directory before. */
  files: z.array(fileSchema),
});
export type Command = z.infer<typeof commandSchema>;
/** What a call tells its function beside the event. */
const callContextSchema = z.object({
  invocationId: z.string(),
  functionName: z.string(),
  /** As its caller knows it: a number, or `$LATEST`. */
  functionVersion: z.coerce.string(),
  deadlineMs: z.number().describe('Unix time, milliseconds'),
  /** The cap on memory, bytes; absent from older gateways. */
  memoryBytes: z.number().int().optional(),
  /** As the caller named the function; made of its name and version unless given. */
  invokedFunctionArn: headerText.optional(),
  /** Where Lambda says that logs go: names, no more. */
  logGroupName: z.string().optional(),
  logStreamName: z.string().optional(),
  /** JSON, as a caller of Lambda's gave it. */
  clientContext: headerText.optional(),
  /** W3C Trace Context, where the invocation is part of a trace. */
  traceparent: z.string().optional(),
  tracestate: z.string().optional(),
});
export type CallContext = z.infer<typeof callContextSchema>;

/**
 * What a sandbox runs. A *snippet* is files put into the working directory and an entry that is executed as a
 * program; a *handler* is an export of a function version's code layer, called with one event; a *command* is what an
 * image's configuration and the request make of it; a *lambda* is such a command, which fetches its one event from Lambda's
 * Runtime API and gives the result back to it.
 */
export const programSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('snippet'),
    files: z.array(fileSchema).min(1),
    entry: relativePathSchema,
    args: z.array(z.string()),
    env: programEnvSchema,
  }),
  z.object({
    kind: z.literal('handler'),
    handler: handlerSchema,
    /** The event, as JSON text: it is handed on, never parsed on the way. */
    eventJson: z.string(),
    /** The event is an HTTP request, and the result is to be its response. */
    http: z.boolean().optional(),
    context: callContextSchema,
    /** The same for all calls of the version: its initialisation has it too. */
    env: programEnvSchema,
    /** Of this call alone: set, above `env`, when initialisation is over. */
    callEnv: programEnvSchema.optional(),
    /** Where it runs, from initialisation on; the sandbox's own working directory unless given. */
    workingDir: z.string().optional(),
  }),
  commandSchema,
  z.object({
    kind: z.literal('lambda'),
    /** As a command's. */
    argv: z.array(z.string()).min(1),
    /** As a command's; what Lambda says by variables is in it already. */
    env: programEnvSchema,
    /** The event, as JSON text. */
    eventJson: z.string(),
    context: callContextSchema,
  }),
]);
export type Program = z.infer<typeof programSchema>;
