import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import {
  buildQuerySchema,
  importQuerySchema,
  pullRequestSchema,
  pushFunctionRequestSchema,
  pushRequestSchema,
  referenceQuerySchema,
  removeQuerySchema,
  tagRequestSchema,
} from '../../../sdk/contract/image.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { forward } from '../forward.ts';
import { readJson } from '../read-body.ts';

/** `/v1/images` and the push of a function: checked here, done by the node on this machine, which has the store. */
export function imageRoutes({ config, registry }: GatewayDeps): Hono<GatewayEnv> {
  const { nodeSocket, ONCEBOX_BODY_MAX_BYTES, ONCEBOX_IMAGE_MAX_BYTES: maxBytes } = config;
  const plain = (c: Context<GatewayEnv>) => forward(c, nodeSocket);
  const withQuery = (schema: z.ZodType) => (c: Context<GatewayEnv>) => {
    schema.parse(c.req.query());
    return forward(c, nodeSocket);
  };
  const withBody = (schema: z.ZodType) => async (c: Context<GatewayEnv>) => {
    const { text, value } = await readJson(c, ONCEBOX_BODY_MAX_BYTES);
    schema.parse(value);
    return forward(c, nodeSocket, text);
  };
  const withUpload = (schema: z.ZodType) => (c: Context<GatewayEnv>) => {
    schema.parse(c.req.query());
    return forward(c, nodeSocket, { maxBytes });
  };

  return new Hono<GatewayEnv>()
    .get('/images', plain)
    .post('/images', withBody(pullRequestSchema))
    .delete('/images', withQuery(removeQuerySchema))
    .get('/images/inspect', withQuery(referenceQuerySchema))
    .get('/images/history', withQuery(referenceQuerySchema))
    .get('/images/df', plain)
    .post('/images/prune', plain)
    .post('/images/tag', withBody(tagRequestSchema))
    .post('/images/push', withBody(pushRequestSchema))
    .post('/images/import', withUpload(importQuerySchema))
    .post('/images/build', withUpload(buildQuerySchema))
    .post('/functions/:name/push', async (c) => {
      // By its own name only: which version is in the body.
      await registry.get(c.req.param('name'), c.get('tenant'));
      return withBody(pushFunctionRequestSchema)(c);
    });
}
