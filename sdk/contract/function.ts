import { z } from 'zod';
import { aliasSchema } from './alias.ts';
import { filesSchema, isWhiteout } from './files.ts';
import { imageReferenceSchema } from './image.ts';
import { isolationSchema } from './isolation.ts';
import { labelsSchema } from './labels.ts';
import { type Limits, limitsInput } from './limits.ts';
import { argumentSchema, envSchema, handlerSchema } from './program.ts';
import { workdirSchema } from './run-request.ts';
import { secretNamesSchema } from './secret.ts';

export const functionNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'must be 1 to 64 of A-Z, a-z, 0-9, "-" and "_", beginning with a letter or digit',
  );

/** The runtimes whose interpreter can call a handler. */
export const functionRuntimeSchema = z.enum(['node', 'python']);

/** How a function that is an image with a program of its own is called: by Lambda's Runtime API. */
export const functionProtocolSchema = z.enum(['lambda']);

const deployFields = (maxima?: Limits) => ({
  runtime: functionRuntimeSchema.optional(),
  /** What the code is put on; the runtime's own base image unless given. */
  image: imageReferenceSchema.optional(),
  handler: handlerSchema.optional(),
  /** Instead of code: the image's own program fetches its events from Lambda's Runtime API. */
  protocol: functionProtocolSchema.optional(),
  /** With `protocol`: instead of the image's Entrypoint; its Cmd is dropped then. */
  entrypoint: z.array(argumentSchema).min(1).max(1000).optional(),
  /** With `protocol`: instead of the image's Cmd. The first is what `_HANDLER` says. */
  args: z.array(argumentSchema).max(1000).optional(),
  /** With `protocol`: instead of the image's WorkingDir. */
  workdir: workdirSchema.optional(),
  env: envSchema.optional(),
  /** Caps for every invocation of this version; what is not given follows the node's defaults. */
  limits: limitsInput(maxima).optional(),
  /** Whether its initialisation may run once for all invocations, in a zygote of its own; true unless given. */
  zygote: z.boolean().optional(),
  /** The wall around every invocation; `native` unless given. Another than that has no zygote. */
  isolation: isolationSchema.optional(),
  /** What every invocation finds as files in `/run/secrets`, by name; initialisation in a zygote does not. */
  secrets: secretNamesSchema.optional(),
  /** Kept with the version and shown with it. */
  labels: labelsSchema.optional(),
});

/**
 * Body of `PUT /v1/functions/:name` as JSON: code and what runs it, or only `image`, a version that was pushed from
 * another platform and is deployed as it is.
 */
export function deployRequestSchema(maxima?: Limits) {
  return z
    .strictObject({
      ...deployFields(maxima),
      files: filesSchema.optional(),
      /** A tar.gz of the directory, in base64. */
      bundle: z.base64().min(1).optional(),
    })
    .superRefine((request, context) => {
      const refuse = (field: keyof typeof request, message: string) =>
        context.addIssue({ code: 'custom', path: [field], message });
      const ofProtocol = ['entrypoint', 'args', 'workdir'] as const;
      const settings = [
        'runtime',
        'handler',
        'env',
        'limits',
        'zygote',
        'isolation',
        'secrets',
        'labels',
      ] as const;
      const hasCode = request.files !== undefined || request.bundle !== undefined;
      if (request.protocol !== undefined) {
        if (request.image === undefined)
          refuse('image', 'is required with "protocol": it brings the program');
        for (const field of ['runtime', 'handler', 'files', 'bundle', 'zygote'] as const) {
          if (request[field] !== undefined)
            refuse(field, 'goes with code, and "protocol" with an image of its own program');
        }
        return;
      }
      for (const field of ofProtocol) {
        if (request[field] !== undefined) refuse(field, 'goes with "protocol" only');
      }
      if (request.image !== undefined && !hasCode && settings.every((field) => request[field] === undefined))
        return;
      if (request.runtime === undefined) refuse('runtime', 'is required with code: "node" or "python"');
      if (request.handler === undefined) refuse('handler', 'is required with code, such as "index.handler"');
      if (!hasCode) {
        const alone = request.image === undefined ? '' : ', or "image" without anything else';
        refuse('files', `one of "files" and "bundle" is required${alone}`);
      }
      if (request.files !== undefined && request.bundle !== undefined)
        refuse('bundle', 'give "files" or "bundle", not both');
      const reserved = request.files?.findIndex((file) => isWhiteout(file.path)) ?? -1;
      if (reserved >= 0) {
        context.addIssue({
          code: 'custom',
          path: ['files', reserved, 'path'],
          message: 'names starting with ".wh." are reserved',
        });
      }
    });
}
export type DeployRequest = z.input<ReturnType<typeof deployRequestSchema>>;

/** Query of `PUT /v1/functions/:name` when the body is the tar.gz itself. */
export const deployQuerySchema = z.strictObject({
  runtime: functionRuntimeSchema,
  image: imageReferenceSchema.optional(),
  handler: handlerSchema,
  zygote: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
  isolation: isolationSchema.optional(),
  /** Names with commas between them. */
  secrets: z
    .string()
    .regex(
      /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}(?:,[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}){0,31}$/,
      'must be 1 to 32 names of secrets with commas between them',
    )
    .transform((text) => [...new Set(text.split(','))])
    .optional(),
});

/** One immutable upload. Read tolerantly: it may have been stored by another release. */
export const functionVersionSchema = z.object({
  version: z.number().int().min(1),
  /** Of its OCI manifest: the same code on the same image with the same settings has the same digest. */
  digest: z.string(),
  /** Absent, as `handler`, where `protocol` is not. */
  runtime: functionRuntimeSchema.optional(),
  handler: z.string().optional(),
  /** The image's own program is called, and how. */
  protocol: functionProtocolSchema.optional(),
  env: z.record(z.string(), z.string()),
  limits: z.record(z.string(), z.number()),
  /** False: every sandbox initialises for itself. Absent: true. */
  zygote: z.boolean().optional(),
  /** Absent: native. */
  isolation: isolationSchema.optional(),
  /** Names, sorted; absent: none. */
  secrets: z.array(z.string()).optional(),
  /** Absent: none. */
  labels: z.record(z.string(), z.string()).optional(),
  /** What the code is stacked on, or, deployed from an image alone, that image; pinned by its digest. */
  image: z.object({ reference: z.string(), digest: z.string() }).optional(),
  /** Digest, hex, of the tar that is stacked on the image; absent where the image holds the code. */
  codeLayer: z.string().optional(),
  createdAt: z.string().describe('RFC 3339'),
  /** Bytes of the files; 0 where the image holds them. */
  sizeBytes: z.number().int(),
});
export type FunctionVersion = z.infer<typeof functionVersionSchema>;

/** Reply of a deploy and an item of `GET /v1/functions`: the version that the name points at. */
export const deployedFunctionSchema = functionVersionSchema.extend({ name: z.string() });
export type DeployedFunction = z.infer<typeof deployedFunctionSchema>;

export const functionListSchema = z.object({ functions: z.array(deployedFunctionSchema) });
export type FunctionList = z.infer<typeof functionListSchema>;

/** Reply of `GET /v1/functions/:name`. */
export const functionRecordSchema = z.object({
  name: z.string(),
  /** The version that an invoke runs. */
  current: z.number().int(),
  /** Oldest first. */
  versions: z.array(functionVersionSchema),
  /** Sorted by name. */
  aliases: z.array(aliasSchema).default([]),
  /** Of the function and not of a version; absent: none. */
  labels: z.record(z.string(), z.string()).optional(),
});
export type FunctionRecord = z.infer<typeof functionRecordSchema>;
