import type { Context } from 'hono';
import type { z } from 'zod';
import { type Alias, aliasNameSchema, aliasRequestSchema } from '../../../sdk/contract/alias.ts';
import type { FunctionRecord } from '../../../sdk/contract/function.ts';
import { aliasLabels } from '../../registry/aliases.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { revisionOf } from './configuration.ts';
import { invalidParameter, resourceConflict, resourceNotFound } from './errors.ts';
import { arnOf, targetOf } from './function-name.ts';
import { requireRevision } from './functions.ts';
import { pageOf } from './paging.ts';
import { readRequest } from './read.ts';
import { createAliasSchema, updateAliasSchema } from './requests.ts';

const descriptionLabel = aliasLabels.description;

export function aliasOperations({ config, registry }: GatewayDeps) {
  const { ONCEBOX_BODY_MAX_BYTES: maxBytes } = config;

  async function find(c: Context<GatewayEnv>) {
    const { name } = targetOf(c);
    const record = await registry.get(name, c.get('tenant'));
    const alias = record.aliases.find((one) => one.name === c.req.param('alias'));
    return { record, alias };
  }

  async function put(
    c: Context<GatewayEnv>,
    { name }: FunctionRecord,
    alias: string,
    { FunctionVersion, Description, RoutingConfig }: z.infer<typeof updateAliasSchema>,
  ) {
    const weights = RoutingConfig?.AdditionalVersionWeights ?? {};
    const request = aliasRequestSchema.safeParse({ version: Number(FunctionVersion), weights });
    if (!request.success) {
      const { path, message } = request.error.issues[0] ?? { path: [], message: 'invalid' };
      throw invalidParameter(`${path.map(String).join('.')} ${message}`);
    }
    const tenant = c.get('tenant');
    const made = await registry.putAlias(name, alias, request.data, tenant);
    if (Description !== undefined) {
      const label = Description === '' ? null : Description;
      await registry.putLabels({ name, tenant }, { [descriptionLabel(alias)]: label });
    }
    return made;
  }

  return {
    async create(c: Context<GatewayEnv>) {
      const { record } = await find(c);
      const request = await readRequest(c, createAliasSchema, maxBytes);
      const checked = aliasNameSchema.safeParse(request.Name);
      if (!checked.success) throw invalidParameter(`Name: ${checked.error.issues[0]?.message}`);
      if (record.aliases.some(({ name }) => name === checked.data))
        throw resourceConflict(`Alias already exists: ${arnOf(c, record.name, checked.data)}`);
      const made = await put(c, record, checked.data, request);
      return c.json(aliasConfiguration(c, record.name, made, request.Description), 201);
    },

    async update(c: Context<GatewayEnv>) {
      const { record, alias } = await find(c);
      if (!alias) throw noAlias(c, record.name);
      const request = await readRequest(c, updateAliasSchema, maxBytes);
      requireRevision(request.RevisionId, revisionOf(alias));
      const before = {
        FunctionVersion: String(alias.version),
        RoutingConfig: { AdditionalVersionWeights: alias.weights },
      };
      const made = await put(c, record, alias.name, { ...before, ...request });
      const description = request.Description ?? record.labels?.[descriptionLabel(alias.name)];
      return c.json(aliasConfiguration(c, record.name, made, description));
    },

    async get(c: Context<GatewayEnv>) {
      const { record, alias } = await find(c);
      if (!alias) throw noAlias(c, record.name);
      const description = record.labels?.[descriptionLabel(alias.name)];
      return c.json(aliasConfiguration(c, record.name, alias, description));
    },

    async list(c: Context<GatewayEnv>) {
      const { record } = await find(c);
      const version = c.req.query('FunctionVersion');
      const fitting = record.aliases.filter(
        (alias) => version === undefined || String(alias.version) === version,
      );
      const { items, next } = pageOf(c, fitting, ({ name }) => name);
      const aliases = items.map((alias) =>
        aliasConfiguration(c, record.name, alias, record.labels?.[descriptionLabel(alias.name)]),
      );
      return c.json({ Aliases: aliases, ...next });
    },

    /** As Lambda's: one that is not there is gone. */
    async delete(c: Context<GatewayEnv>) {
      const { name } = targetOf(c);
      const alias = c.req.param('alias') ?? '';
      await registry.deleteAlias(name, alias, c.get('tenant')).catch((error: unknown) => {
        if (!(error instanceof PlatformError && error.code === 'alias_not_found')) throw error;
      });
      return c.body(null, 204);
    },
  };
}

function aliasConfiguration(c: Context, name: string, alias: Alias, description = '') {
  return {
    AliasArn: arnOf(c, name, alias.name),
    Name: alias.name,
    FunctionVersion: String(alias.version),
    Description: description,
    ...(Object.keys(alias.weights).length > 0 && {
      RoutingConfig: { AdditionalVersionWeights: alias.weights },
    }),
    RevisionId: revisionOf(alias),
  };
}

const noAlias = (c: Context, name: string) =>
  resourceNotFound(`Cannot find alias arn: ${arnOf(c, name, c.req.param('alias'))}`);
