import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import {
  apiKeySchema,
  createdKeySchema,
  createKeyRequestSchema,
  keyIdSchema,
  keyListSchema,
} from '../../../../sdk/contract/key.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';

named('ApiKey', apiKeySchema);

export const keyOperations: RouteConfig[] = [
  {
    method: 'post',
    path: '/v1/keys',
    operationId: 'createKey',
    summary: 'Makes a key, which the reply shows this once',
    request: {
      body: {
        required: true,
        content: json(createKeyRequestSchema, { name: 'ci', tenant: 'acme', scopes: ['deploy', 'read'] }),
      },
    },
    responses: {
      201: reply('The key itself is kept nowhere.', json(named('CreatedKey', createdKeySchema))),
      ...errors('invalid_request', 'body_too_large', 'quota_exceeded'),
    },
  },
  {
    method: 'get',
    path: '/v1/keys',
    operationId: 'listKeys',
    summary: 'The keys of all tenants, without what opens',
    responses: { 200: reply('Oldest first.', json(keyListSchema)), ...errors() },
  },
  {
    method: 'delete',
    path: '/v1/keys/{id}',
    operationId: 'deleteKey',
    summary: 'Takes a key back',
    request: { params: z.object({ id: named('KeyId', keyIdSchema) }) },
    responses: {
      204: reply('It opens nothing any more: at other gateways within seconds.', undefined),
      ...errors('key_not_found'),
    },
  },
];
