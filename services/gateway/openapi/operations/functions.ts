import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import {
  deployedFunctionSchema,
  deployQuerySchema,
  functionListSchema,
  functionRecordSchema,
  functionVersionSchema,
} from '../../../../sdk/contract/function.ts';
import { pushFunctionRequestSchema } from '../../../../sdk/contract/image.ts';
import type { Limits } from '../../../../sdk/contract/limits.ts';
import { bytes, errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';
import { functionLinks, functionName } from '../parameters.ts';
import { deployRequest } from '../requests.ts';
import { imageReply } from './image-reply.ts';

named('FunctionVersion', functionVersionSchema);
named('DeployedFunction', deployedFunctionSchema);

export function functionOperations(maxima: Limits): RouteConfig[] {
  return [
    {
      method: 'put',
      path: '/v1/functions/{name}',
      operationId: 'deployFunction',
      summary: 'Deploys a version and points the name at it',
      description:
        'As JSON, or as the tar.gz of a directory: then `runtime` and `handler` are in the query, which is ignored with JSON.',
      request: {
        params: functionName,
        query: deployQuerySchema.partial(),
        body: {
          required: true,
          content: {
            ...json(deployRequest(maxima), {
              runtime: 'node',
              handler: 'index.handler',
              files: [{ path: 'index.mjs', content: 'export const handler = (event) => event;' }],
            }),
            'application/gzip': bytes,
          },
        },
      },
      responses: {
        200: reply(
          'It was deployed before, and has its version again.',
          json(deployedFunctionSchema),
          {},
          functionLinks,
        ),
        201: reply('A new version.', json(deployedFunctionSchema), {}, functionLinks),
        ...errors('invalid_request', 'unsupported', 'image_not_found', 'body_too_large', 'quota_exceeded'),
      },
    },
    {
      method: 'get',
      path: '/v1/functions',
      operationId: 'listFunctions',
      summary: 'Every function, with the version its name points at',
      responses: { 200: reply('Sorted by name.', json(functionListSchema)), ...errors() },
    },
    {
      method: 'get',
      path: '/v1/functions/{name}',
      operationId: 'getFunction',
      summary: 'A function with all its versions',
      request: { params: functionName },
      responses: {
        200: reply('Oldest version first.', json(functionRecordSchema)),
        ...errors('function_not_found'),
      },
    },
    {
      method: 'delete',
      path: '/v1/functions/{name}',
      operationId: 'deleteFunction',
      summary: 'Removes a function with all its versions',
      request: { params: functionName },
      responses: { 204: reply('It is gone.', undefined), ...errors('function_not_found') },
    },
    {
      method: 'post',
      path: '/v1/functions/{name}/push',
      operationId: 'pushFunction',
      summary: 'Pushes a version to a registry, as an image',
      request: {
        params: functionName,
        body: {
          required: true,
          content: json(pushFunctionRequestSchema, { target: 'registry.example.com/hello:1' }),
        },
      },
      responses: {
        200: imageReply,
        ...errors(
          'invalid_request',
          'function_not_found',
          'image_not_found',
          'image_in_use',
          'body_too_large',
          'invalid_image',
          'registry_failed',
          'storage_full',
        ),
      },
    },
  ];
}
