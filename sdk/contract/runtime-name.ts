import { z } from 'zod';

/** The runtimes of this version: `node` and `python` fork from a warm zygote, `bash` is executed. */
export const runtimeNameSchema = z.enum(['node', 'python', 'bash']);
export type RuntimeName = z.infer<typeof runtimeNameSchema>;
