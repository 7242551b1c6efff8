import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { functionNameSchema, functionRuntimeSchema } from '../../contract/function.ts';
import { imageReferenceSchema } from '../../contract/image.ts';
import { isolationSchema } from '../../contract/isolation.ts';
import { limitsInput } from '../../contract/limits.ts';
import { envSchema, handlerSchema } from '../../contract/program.ts';
import { secretNamesSchema } from '../../contract/secret.ts';
import { CliError } from '../cli-error.ts';

export const settingsFileName = 'oncebox.json';

/** `oncebox.json`: what a directory's function is deployed with, unless the command line says otherwise. */
const settingsFileSchema = z.strictObject({
  /** For editors, which find the schema of a file there. */
  $schema: z.string().optional(),
  name: functionNameSchema.optional(),
  runtime: functionRuntimeSchema.optional(),
  handler: handlerSchema.optional(),
  image: imageReferenceSchema.optional(),
  env: envSchema.optional(),
  limits: limitsInput().optional(),
  zygote: z.boolean().optional(),
  isolation: isolationSchema.optional(),
  secrets: secretNamesSchema.optional(),
});
export type SettingsFile = z.infer<typeof settingsFileSchema>;

/** Empty where there is none. */
export async function readSettingsFile(directory: string): Promise<SettingsFile> {
  const path = join(directory, settingsFileName);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw new CliError(`cannot read ${path}: ${error.message}`);
  });
  const parsed = settingsFileSchema.safeParse(jsonOf(text, path));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CliError(`cannot use ${path}: ${issue?.path.join('.') || 'it'}: ${issue?.message}`);
}

function jsonOf(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError(`cannot use ${path}: it is not JSON: ${(error as Error).message}`);
  }
}
