import { type Context, Hono } from 'hono';
import {
  deployQuerySchema,
  deployRequestSchema,
  type FunctionList,
  functionNameSchema,
} from '../../../sdk/contract/function.ts';
import { type CodeFile, unpackBundle } from '../../registry/code-layer.ts';
import type { Registry } from '../../registry/registry.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { readBody, readJson, wellFormed } from '../read-body.ts';
import { requireIsolation } from '../require-isolation.ts';

/** How much larger than a request body its unpacked files may be: source code compresses about fourfold. */
export const unpackedFactor = 5;

/** The base images of set-up, by runtime. */
export const baseImageOf = (runtime: string) => `localhost/${runtime}:latest`;

/** `PUT`, `GET`, `DELETE /v1/functions/:name` and `GET /v1/functions`. */
export function functionRoutes({ config, registry, catalogue, directory }: GatewayDeps): Hono<GatewayEnv> {
  const { ONCEBOX_BODY_MAX_BYTES: maxBytes, ONCEBOX_MAX_LIMITS: maxima } = config;
  const requestSchema = deployRequestSchema(maxima);

  async function deploy(c: Context<GatewayEnv>, name: string): ReturnType<Registry['deploy']> {
    const tenant = c.get('tenant');
    if (isGzip(c.req.header('content-type'))) {
      const { image, ...query } = deployQuerySchema.parse(c.req.query());
      await requireIsolation(directory, query.isolation);
      const files = await unpack(await readBody(c, maxBytes), 'body');
      const base = await catalogue.resolve(image ?? baseImageOf(query.runtime));
      return registry.deploy({ tenant, name, image: base, ...query, env: {}, limits: {}, files });
    }
    // What the body says goes; but what is malformed is refused wherever it stands.
    deployQuerySchema.partial().parse(c.req.query());
    const { text, value } = await readJson(c, maxBytes);
    const {
      image,
      runtime,
      handler,
      env = {},
      limits = {},
      zygote,
      isolation,
      secrets,
      labels,
      files,
      bundle,
      protocol,
      ...command
    } = requestSchema.parse(wellFormed(value, text));
    await requireIsolation(directory, isolation);
    const given = Object.entries(limits).filter((entry): entry is [string, number] => entry[1] !== undefined);
    if (protocol !== undefined) {
      const settings = { protocol, env, limits: Object.fromEntries(given), isolation, secrets, labels };
      const program = await catalogue.resolve(image ?? '');
      return registry.deployProgram({ tenant, name, image: program, ...settings, ...command });
    }
    if (runtime === undefined || handler === undefined)
      return registry.deployImage(name, await catalogue.resolve(image ?? ''), tenant);
    const unpacked =
      bundle === undefined
        ? (files ?? []).map((file) => ({ path: file.path, data: Buffer.from(file.content, file.encoding) }))
        : await unpack(Buffer.from(bundle, 'base64'), 'bundle');
    return registry.deploy({
      tenant,
      name,
      image: await catalogue.resolve(image ?? baseImageOf(runtime)),
      runtime,
      handler,
      env,
      limits: Object.fromEntries(given),
      zygote,
      isolation,
      secrets,
      labels,
      files: unpacked,
    });
  }

  async function unpack(targz: Uint8Array, field: string): Promise<CodeFile[]> {
    try {
      return await unpackBundle(targz, maxBytes * unpackedFactor);
    } catch (error) {
      throw new PlatformError('invalid_request', `cannot unpack: ${(error as Error).message}`, { field });
    }
  }

  return new Hono<GatewayEnv>()
    .put('/functions/:name', async (c) => {
      const name = parseName(c.req.param('name'));
      const { deployed, created } = await deploy(c, name);
      return c.json(deployed, created ? 201 : 200);
    })
    .get('/functions', async (c) => c.json<FunctionList>({ functions: await registry.list(c.get('tenant')) }))
    .get('/functions/:name', async (c) => c.json(await registry.get(c.req.param('name'), c.get('tenant'))))
    .delete('/functions/:name', async (c) => {
      await registry.delete(c.req.param('name'), c.get('tenant'));
      return c.body(null, 204);
    });
}

function isGzip(contentType: string | undefined): boolean {
  return /^application\/(x-)?(gzip|tar\+gzip|gtar)\b/i.test(contentType ?? '');
}

function parseName(name: string): string {
  const parsed = functionNameSchema.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new PlatformError('invalid_request', `the function's name ${parsed.error.issues[0]?.message}`, {
    field: 'name',
  });
}
