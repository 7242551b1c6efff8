import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import { errorBodySchema } from '../../../sdk/contract/error.ts';
import { findLanguage } from '../../languages/find-language.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { forward } from '../forward.ts';
import { findRuntime } from './runtimes.ts';

const bodySchema = z.record(z.string(), z.unknown()).catch({});
const changedSchema = z.object({ name: z.string(), version: z.string() });

/** `POST` and `DELETE packages`: a package is a language, which the node on this machine installs and removes. */
export async function changePackage(
  c: Context<GatewayEnv>,
  { config, languages }: Pick<GatewayDeps, 'config' | 'languages'>,
  body: unknown,
): Promise<Response> {
  const { language: name, version } = bodySchema.parse(body);
  const isNamed = typeof name === 'string' && typeof version === 'string';
  const found = isNamed && ((await findRuntime({ languages }, name, version)) ?? findLanguage(name, version));
  if (!found) return c.json({ message: `Requested package ${name}-${version} does not exist` }, 404);
  const path = `/v1/languages/${encodeURIComponent(found.name)}`;
  const response = await forward(c, config.nodeSocket, undefined, path);
  if (!response.ok) {
    const { message } = errorBodySchema.parse(await response.json()).error;
    return c.json({ message }, response.status as ContentfulStatusCode);
  }
  // Of what was removed nothing is said.
  const changed = response.status === 204 ? found : changedSchema.parse(await response.json());
  return c.json({ language: changed.name, version: changed.version });
}
