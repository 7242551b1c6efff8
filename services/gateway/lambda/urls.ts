import type { Context } from 'hono';
import { z } from 'zod';
import type { FunctionRecord } from '../../../sdk/contract/function.ts';
import { aliasLabels } from '../../registry/aliases.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { invalidParameter, resourceConflict, resourceNotFound } from './errors.ts';
import { arnOf, targetOf } from './function-name.ts';
import { pageOf } from './paging.ts';
import { functionUrlPrefix } from './paths.ts';
import { readRequest } from './read.ts';
import { urlConfigSchema } from './requests.ts';

type C = Context<GatewayEnv>;

/** A label of the function, for each qualifier that has a URL; empty for none. */
const urlLabel = (qualifier = '') => aliasLabels.url(qualifier);

const storedSchema = z.object({
  AuthType: z.enum(['NONE', 'AWS_IAM']),
  InvokeMode: z.enum(['BUFFERED', 'RESPONSE_STREAM']),
  CreationTime: z.string(),
  LastModifiedTime: z.string(),
});
type UrlConfig = z.infer<typeof storedSchema>;

/** Create, get, update, delete and list the configurations of functions' URLs. */
export function urlOperations({ config, registry }: GatewayDeps) {
  async function find(c: C) {
    const { name, qualifier } = targetOf(c);
    const record = await registry.get(name, c.get('tenant'));
    return { record, qualifier, stored: urlConfigIn(record, qualifier) };
  }

  async function put(c: C, { name }: FunctionRecord, qualifier: string | undefined, stored: UrlConfig) {
    const tenant = c.get('tenant');
    await registry.putLabels({ name, tenant }, { [urlLabel(qualifier)]: JSON.stringify(stored) });
    return shown(c, name, qualifier, stored);
  }

  async function read(c: C) {
    const request = await readRequest(c, urlConfigSchema, config.ONCEBOX_BODY_MAX_BYTES);
    if (request.AuthType === 'NONE' && config.needsKeys)
      throw invalidParameter(
        'AuthType: this platform asks for a key of all who call: "AWS_IAM" is what it has',
      );
    const { AuthType, InvokeMode } = request;
    return { ...(AuthType && { AuthType }), ...(InvokeMode && { InvokeMode }) };
  }

  return {
    async create(c: C) {
      const { record, qualifier, stored } = await find(c);
      if (stored)
        throw resourceConflict(`Failed to create function url config for [${record.name}]: it exists`);
      const isAlias = record.aliases.some(({ name }) => name === qualifier);
      if (qualifier !== undefined && !isAlias)
        throw invalidParameter(
          `Qualifier: "${qualifier}" is no alias: the URL of a function has one, or none`,
        );
      const { AuthType, InvokeMode = 'BUFFERED' } = await read(c);
      if (AuthType === undefined) throw invalidParameter('AuthType: is required');
      const now = new Date().toISOString();
      const made = { AuthType, InvokeMode, CreationTime: now, LastModifiedTime: now };
      return c.json(await put(c, record, qualifier, made), 201);
    },

    async update(c: C) {
      const { record, qualifier, stored } = await find(c);
      if (!stored) throw noUrl();
      const changed = { ...stored, ...(await read(c)), LastModifiedTime: new Date().toISOString() };
      return c.json(await put(c, record, qualifier, changed));
    },

    async get(c: C) {
      const { record, qualifier, stored } = await find(c);
      if (!stored) throw noUrl();
      return c.json(shown(c, record.name, qualifier, stored));
    },

    async delete(c: C) {
      const { record, qualifier, stored } = await find(c);
      if (!stored) throw noUrl();
      const target = { name: record.name, tenant: c.get('tenant') };
      await registry.putLabels(target, { [urlLabel(qualifier)]: null });
      return c.body(null, 204);
    },

    async list(c: C) {
      const { record } = await find(c);
      const qualifiers = [undefined, ...record.aliases.map(({ name }) => name)];
      const all = qualifiers.flatMap((qualifier) => {
        const stored = urlConfigIn(record, qualifier);
        return stored ? [shown(c, record.name, qualifier, stored)] : [];
      });
      const { items, next } = pageOf(c, all, ({ FunctionArn }) => FunctionArn);
      return c.json({ FunctionUrlConfigs: items, ...next });
    },
  };
}

export function urlConfigIn({ labels = {} }: FunctionRecord, qualifier?: string): UrlConfig | undefined {
  const text = labels[urlLabel(qualifier)];
  return text === undefined ? undefined : storedSchema.parse(JSON.parse(text));
}

function shown(c: C, name: string, qualifier: string | undefined, stored: UrlConfig) {
  const path = [name, ...(qualifier === undefined ? [] : [qualifier])].join(':');
  return {
    // As the caller reached us, so he does again.
    FunctionUrl: `${new URL(c.req.url).origin}${functionUrlPrefix}/${path}/`,
    FunctionArn: arnOf(c, name, qualifier),
    ...stored,
  };
}

const noUrl = () => resourceNotFound('The resource you requested does not exist.');
