import { z } from 'zod';
import { filesSchema } from './files.ts';
import { imageReferenceSchema } from './image.ts';
import { diffSchema } from './invocation.ts';
import { isolationSchema } from './isolation.ts';
import { languageNameSchema, versionRangeSchema } from './language.ts';
import { type Limits, limitsInput } from './limits.ts';
import { argumentSchema, envSchema, relativePathSchema } from './program.ts';
import { runtimeNameSchema } from './runtime-name.ts';

/** `name`, `uid`, `name:group` or `uid:gid`, as the image's `/etc/passwd` and `/etc/group` know them. */
const userSchema = z
  .string()
  .max(256)
  .regex(/^[^:\s]+(:[^:\s]+)?$/, 'must look like "name", "1000" or "1000:1000"');

export const workdirSchema = z
  .string()
  .max(4096)
  .regex(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what is refused
    /^(?![\s\S]*\/\.\.(?:\/|$))\/[^\x00]*$/,
    'must be an absolute path without ".." and NUL',
  );

/**
 * Body of `POST /v1/run`. With `runtime` a snippet, as `code` or as `files`; with `image` too, in that image's own
 * interpreter. With `image` alone its command, as Docker would run it. With `language` a program, which is compiled first where
 * the language is one that is.
 */
export function runRequestSchema(maxima?: Limits) {
  return z
    .strictObject({
      runtime: runtimeNameSchema.optional(),
      /** Its name or an alias, instead of `runtime` and `image`. */
      language: languageNameSchema.optional(),
      /** Which versions of the language will do; any unless given. */
      version: versionRangeSchema.optional(),
      image: imageReferenceSchema.optional(),
      /** Instead of the image's Entrypoint; its Cmd is dropped then. */
      entrypoint: z.array(argumentSchema).max(1000).optional(),
      /** Of the snippet, or instead of the image's Cmd. */
      args: z.array(argumentSchema).max(1000).optional(),
      /** Instead of the image's WorkingDir. */
      workdir: workdirSchema.optional(),
      /** Instead of the image's User. */
      user: userSchema.optional(),
      /** One file's text; it is stored as `index.js`, `main.py` or `main.sh`. */
      code: z.string().optional(),
      /** Put into the working directory. */
      files: filesSchema.optional(),
      /** The file that is executed; the first of `files` unless given. */
      entry: relativePathSchema.optional(),
      stdin: z.string().default(''),
      /** More of `stdin` is to come, and signals, while it runs. The reply is its events, whatever Accept and Prefer say. */
      interactive: z.boolean().default(false),
      env: envSchema.default({}),
      limits: limitsInput(maxima).default({}),
      /** Of the compiler, which has defaults of its own; `limits` are of the program. */
      compileLimits: limitsInput(maxima).optional(),
      diff: diffSchema.default(false),
      /** The wall around the program; `native` unless given. */
      isolation: isolationSchema.optional(),
      /** The only network of this version: loopback inside the sandbox. */
      network: z.literal('none').optional(),
    })
    .superRefine((request, context) => {
      const refuse = (field: keyof typeof request, message: string) =>
        context.addIssue({ code: 'custom', path: [field], message });
      const { runtime, image, language, code, files, entry } = request;
      if (language === undefined) {
        for (const field of ['version', 'compileLimits'] as const)
          if (request[field] !== undefined) refuse(field, 'goes with "language" only');
      } else {
        for (const field of ['runtime', 'image'] as const)
          if (request[field] !== undefined) refuse(field, 'cannot be given together with "language"');
      }
      if (runtime === undefined && image === undefined && language === undefined)
        return refuse('runtime', 'one of "runtime", "language" and "image" is required');
      if (runtime === undefined && language === undefined) {
        if (code !== undefined) refuse('code', 'needs "runtime" or "language", which say what runs it');
        if (entry !== undefined)
          refuse('entry', 'needs "runtime" or "language"; an image is told by "args" what to run');
        return;
      }
      for (const field of ['entrypoint', 'workdir', 'user'] as const) {
        if (request[field] !== undefined) refuse(field, 'goes with "image" without "runtime" only');
      }
      if (code === undefined && files === undefined) refuse('code', 'one of "code" and "files" is required');
      if (code !== undefined && files !== undefined) refuse('files', 'give "code" or "files", not both');
      if (code !== undefined && entry !== undefined) refuse('entry', 'goes with "files" only');
      if (files && entry !== undefined && !files.some((file) => file.path === entry))
        refuse('entry', `"${entry}" is not among the files`);
    });
}
/** One that waits for no more than what is in it. */
export type RunRequest = Omit<z.input<ReturnType<typeof runRequestSchema>>, 'interactive'>;
export type ParsedRunRequest = z.output<ReturnType<typeof runRequestSchema>>;
