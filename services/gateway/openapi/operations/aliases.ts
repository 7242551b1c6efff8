import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import {
  aliasListSchema,
  aliasNameSchema,
  aliasRequestSchema,
  aliasSchema,
} from '../../../../sdk/contract/alias.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';
import { functionName } from '../parameters.ts';

named('Alias', aliasSchema);
const aliasParams = functionName.extend({ alias: named('AliasName', aliasNameSchema) });

export const aliasOperations: RouteConfig[] = [
  {
    method: 'put',
    path: '/v1/functions/{name}/aliases/{alias}',
    operationId: 'putAlias',
    summary: 'Points an alias at a version, or at several with a share of the calls each',
    description:
      '`hello:prod` is called like `hello`. Each call chooses anew: with `{"version": 3, "weights": {"4": 0.1}}` one in ten runs version 4.',
    request: {
      params: aliasParams,
      body: {
        required: true,
        content: json(
          named('AliasRequest', aliasRequestSchema, {
            description: 'The shares are 1 together at most, and none is for `version` itself.',
          }),
          { version: 1 },
        ),
      },
    },
    responses: {
      200: reply('It points there from now on.', json(aliasSchema)),
      ...errors('invalid_request', 'function_not_found', 'body_too_large'),
    },
  },
  {
    method: 'get',
    path: '/v1/functions/{name}/aliases',
    operationId: 'listAliases',
    summary: 'The aliases of a function',
    request: { params: functionName },
    responses: { 200: reply('Sorted by name.', json(aliasListSchema)), ...errors('function_not_found') },
  },
  {
    method: 'delete',
    path: '/v1/functions/{name}/aliases/{alias}',
    operationId: 'deleteAlias',
    summary: 'Removes an alias',
    request: { params: aliasParams },
    responses: { 204: reply('It is gone.', undefined), ...errors('function_not_found', 'alias_not_found') },
  },
];
