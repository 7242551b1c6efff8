import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { rollbackRequestSchema } from '../../../../sdk/contract/alias.ts';
import { deployedFunctionSchema } from '../../../../sdk/contract/function.ts';
import { errors, json, reply } from '../errors.ts';
import { functionName } from '../parameters.ts';

const versionParams = functionName.extend({ version: z.string().regex(/^[1-9][0-9]{0,8}$/) });

export const versionOperations: RouteConfig[] = [
  {
    method: 'post',
    path: '/v1/functions/{name}/rollback',
    operationId: 'rollbackFunction',
    summary: 'Points the name at the version before, or at the one given',
    request: { params: functionName, body: { required: false, content: json(rollbackRequestSchema, {}) } },
    responses: {
      200: reply('The version that is current now.', json(deployedFunctionSchema)),
      ...errors('invalid_request', 'function_not_found', 'version_not_found', 'body_too_large'),
    },
  },
  {
    method: 'delete',
    path: '/v1/functions/{name}/versions/{version}',
    operationId: 'deleteVersion',
    summary: 'Removes a version that neither the name nor an alias points at',
    request: { params: versionParams },
    responses: {
      204: reply('It is gone.', undefined),
      ...errors('function_not_found', 'version_not_found', 'version_in_use'),
    },
  },
];
