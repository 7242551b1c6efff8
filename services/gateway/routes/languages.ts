import { type Context, Hono } from 'hono';
import { languageNameSchema } from '../../../sdk/contract/language.ts';
import { findLanguage } from '../../languages/find-language.ts';
import { languageNotFound } from '../../languages/installed-languages.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { forward } from '../forward.ts';

/** `/v1/languages`: what there is, all gateways know; what is installed, by the node on this machine, as images are. */
export function languageRoutes({ config, languages }: GatewayDeps): Hono<GatewayEnv> {
  const onNode = (c: Context<GatewayEnv>, name: string) => {
    const isName = languageNameSchema.safeParse(name).success;
    if (!isName || !findLanguage(name)) throw languageNotFound(name);
    return forward(c, config.nodeSocket);
  };

  return new Hono<GatewayEnv>()
    .get('/languages', async (c) => c.json({ languages: await languages.list() }))
    .post('/languages/:name', (c) => onNode(c, c.req.param('name')))
    .delete('/languages/:name', (c) => onNode(c, c.req.param('name')));
}
