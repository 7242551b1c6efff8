import { z } from 'zod';

/** Which of the environment's variables the command line heeds. */
const environmentSchema = z.object({
  ONCEBOX_URL: z.string().optional(),
  ONCEBOX_API_KEY: z.string().optional(),
  /** For registries; the options win. */
  ONCEBOX_REGISTRY_USERNAME: z.string().optional(),
  ONCEBOX_REGISTRY_PASSWORD: z.string().optional(),
});
export type Environment = z.infer<typeof environmentSchema>;

/** The only place that reads the environment; empty is as good as unset. */
export function parseEnvironment(env: NodeJS.ProcessEnv): Environment {
  return environmentSchema.parse(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')));
}
