import { z } from 'zod';
import { filesSchema } from './files.ts';
import { type Limits, limitsInput } from './limits.ts';
import { envSchema, relativePathSchema } from './program.ts';
import { runtimeNameSchema } from './runtime-name.ts';

const argumentSchema = z
  .string()
  .max(131_071)
  .refine((value) => !value.includes('\0'), 'must not contain NUL');

/** Body of `POST /v1/run`: a snippet, as `code` or as `files`, and what it is run with. */
export function runRequestSchema(maxima?: Limits) {
  return z
    .strictObject({
      runtime: runtimeNameSchema,
      image: notYet('images cannot be chosen in this version; give "runtime"'),
      /** One file's text; it is stored as `index.js`, `main.py` or `main.sh`. */
      code: z.string().optional(),
      files: filesSchema.optional(),
      /** The file that is executed; the first of `files` unless given. */
      entry: relativePathSchema.optional(),
      args: z.array(argumentSchema).max(1000).default([]),
      stdin: z.string().default(''),
      env: envSchema.default({}),
      limits: limitsInput(maxima).default({}),
      /** The only network of this version: loopback inside the sandbox. */
      network: z.literal('none').optional(),
    })
    .superRefine((request, context) => {
      if (request.code === undefined && request.files === undefined) {
        context.addIssue({
          code: 'custom',
          path: ['code'],
          message: 'one of "code" and "files" is required',
        });
      }
      if (request.code !== undefined && request.files !== undefined) {
        context.addIssue({ code: 'custom', path: ['files'], message: 'give "code" or "files", not both' });
      }
      if (request.code !== undefined && request.entry !== undefined) {
        context.addIssue({ code: 'custom', path: ['entry'], message: 'goes with "files" only' });
      }
      const { files, entry } = request;
      if (files && entry !== undefined && !files.some((file) => file.path === entry)) {
        context.addIssue({ code: 'custom', path: ['entry'], message: `"${entry}" is not among the files` });
      }
    });
}
export type RunRequest = z.input<ReturnType<typeof runRequestSchema>>;
export type ParsedRunRequest = z.output<ReturnType<typeof runRequestSchema>>;

/** A field of the contract that a later version brings: refused with a reason instead of "unrecognized key". */
export function notYet(message: string) {
  return z.undefined({ error: message }).optional();
}
