import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { invocationListQuerySchema, invocationListSchema } from '../../../../sdk/contract/invocation-list.ts';
import { errors, json, reply } from '../errors.ts';

export const invocationListOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/invocations',
    operationId: 'listInvocations',
    summary: 'Invocations, newest first, without what they printed',
    request: { query: invocationListQuerySchema },
    responses: {
      200: reply('Of those that are waiting, running or kept.', json(invocationListSchema)),
      ...errors('invalid_request'),
    },
  },
];
