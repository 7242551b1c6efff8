import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { functionSettingsSchema } from '../../../../sdk/contract/function-settings.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';
import { functionName } from '../parameters.ts';

const settings = named('FunctionSettings', functionSettingsSchema);
const example = { concurrency: 10, retry: { attempts: 3, on: ['function_error'] } };

export const functionSettingsOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/functions/{name}/settings',
    operationId: 'getFunctionSettings',
    summary: 'What holds for all versions of a function',
    request: { params: functionName },
    responses: { 200: reply('As they are now.', json(settings)), ...errors('function_not_found') },
  },
  {
    method: 'put',
    path: '/v1/functions/{name}/settings',
    operationId: 'putFunctionSettings',
    summary: 'Sets them all: what is not given has its default',
    request: { params: functionName, body: { required: true, content: json(settings, example) } },
    responses: {
      200: reply('They hold from the next invocation on.', json(settings)),
      ...errors('invalid_request', 'function_not_found', 'body_too_large'),
    },
  },
];
