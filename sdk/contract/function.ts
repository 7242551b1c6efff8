import { z } from 'zod';
import { filesSchema, isWhiteout } from './files.ts';
import { type Limits, limitsInput } from './limits.ts';
import { envSchema, handlerSchema } from './program.ts';
import { notYet } from './run-request.ts';

export const functionNameSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}$/,
    'must be 1 to 63 of a-z, 0-9, "-" and "_", beginning with a letter or digit',
  );

/** The runtimes whose interpreter can call a handler. */
const functionRuntimeSchema = z.enum(['node', 'python']);

const deployFields = (maxima?: Limits) => ({
  runtime: functionRuntimeSchema,
  image: notYet('images cannot be chosen in this version; give "runtime"'),
  handler: handlerSchema,
  env: envSchema.default({}),
  /** Caps for every invocation of this version; what is not given follows the node's defaults. */
  limits: limitsInput(maxima).default({}),
});

/** Body of `PUT /v1/functions/:name` as JSON. */
export function deployRequestSchema(maxima?: Limits) {
  return z
    .strictObject({
      ...deployFields(maxima),
      files: filesSchema.optional(),
      /** A tar.gz of the directory, in base64. */
      bundle: z.base64().min(1).optional(),
    })
    .superRefine((request, context) => {
      if (request.files === undefined && request.bundle === undefined) {
        context.addIssue({
          code: 'custom',
          path: ['files'],
          message: 'one of "files" and "bundle" is required',
        });
      }
      if (request.files !== undefined && request.bundle !== undefined) {
        context.addIssue({ code: 'custom', path: ['bundle'], message: 'give "files" or "bundle", not both' });
      }
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
  handler: handlerSchema,
});

/** One immutable upload. Read tolerantly: it may have been stored by another release. */
export const functionVersionSchema = z.object({
  version: z.number().int().min(1),
  /** `sha256:` of the manifest {runtime, codeLayer, handler, env, limits}: the same deploy has the same digest. */
  digest: z.string(),
  runtime: functionRuntimeSchema,
  handler: z.string(),
  env: z.record(z.string(), z.string()),
  limits: z.record(z.string(), z.number()),
  /** Digest, hex, of the tar that is stacked on the runtime's image. */
  codeLayer: z.string(),
  createdAt: z.string().describe('RFC 3339'),
  /** Bytes of the files. */
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
});
export type FunctionRecord = z.infer<typeof functionRecordSchema>;
