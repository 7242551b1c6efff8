import { z } from 'zod';
import { taskEvents } from './image.ts';

/** `go`, `c++`: what a language is called in paths and requests. */
export const languageNameSchema = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9.+#_-]*$/, 'must look like "go" or "c++"');

/** An exact version, a prefix (`1`, `1.x`), `*`, or comparisons as npm has them: `^1.2`, `~1.2.3`, `>=1.2 <2`. */
export const versionRangeSchema = z.string().min(1).max(256);

/** An item of `GET /v1/languages`. */
export const languageSchema = z.object({
  name: z.string(),
  /** As its program says, where it is installed; else as the recipe expects it. */
  version: z.string(),
  aliases: z.array(z.string()),
  /** Of source files, with the dot, the usual one first. */
  extensions: z.array(z.string()),
  /** What runs it, where that is not the language itself: `node` for JavaScript. */
  runtime: z.string().optional(),
  /** What a program without a name is stored as. */
  fileName: z.string(),
  /** Whether it is compiled before it runs. */
  compiled: z.boolean(),
  /** Whether a program can be run now. */
  installed: z.boolean(),
  /** It runs on an image that set-up made: there is nothing to install or remove. */
  builtIn: z.boolean(),
  /** What it runs on, where it is installed. */
  image: z.object({ reference: z.string(), digest: z.string() }).optional(),
});
export type LanguageInfo = z.infer<typeof languageSchema>;

/** Reply of `GET /v1/languages`: those that can be installed, too. */
export const languageListSchema = z.object({ languages: z.array(languageSchema) });

/**
 * A line of the reply of `POST /v1/languages/:name` when the request says `Accept: application/x-ndjson`. The last one is
 * `done` or `error`. Without that header the reply is the `done` event's language, once all is over.
 */
export const languageEventSchema = z.discriminatedUnion('type', [
  ...taskEvents,
  z.object({ type: z.literal('done'), language: languageSchema }),
]);
export type LanguageEvent = z.infer<typeof languageEventSchema>;
