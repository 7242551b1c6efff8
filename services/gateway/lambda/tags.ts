import type { Context } from 'hono';
import type { FunctionRecord } from '../../../sdk/contract/function.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { parseTarget } from './function-name.ts';
import { readRequest } from './read.ts';
import { tagsSchema } from './requests.ts';

/** Tags are labels of the function. */
const prefix = 'aws.tag.';

export function tagLabels(tags: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).map(([tag, value]) => [prefix + tag, value]));
}

export function tagsIn({ labels = {} }: Pick<FunctionRecord, 'labels'>): Record<string, string> {
  const tags = Object.entries(labels).filter(([label]) => label.startsWith(prefix));
  return Object.fromEntries(tags.map(([label, value]) => [label.slice(prefix.length), value]));
}

export function tagOperations({ config, registry }: GatewayDeps) {
  const nameOf = (c: Context) => parseTarget(c.req.param('arn') ?? '').name;
  return {
    async list(c: Context<GatewayEnv>) {
      return c.json({ Tags: tagsIn(await registry.get(nameOf(c), c.get('tenant'))) });
    },
    async tag(c: Context<GatewayEnv>) {
      const { Tags: tags } = await readRequest(c, tagsSchema, config.ONCEBOX_BODY_MAX_BYTES);
      await registry.putLabels({ name: nameOf(c), tenant: c.get('tenant') }, tagLabels(tags));
      return c.body(null, 204);
    },
    async untag(c: Context<GatewayEnv>) {
      const names = c.req.queries('tagKeys') ?? [];
      const changes = Object.fromEntries(names.map((tag) => [prefix + tag, null]));
      await registry.putLabels({ name: nameOf(c), tenant: c.get('tenant') }, changes);
      return c.body(null, 204);
    },
  };
}
