import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { batchReplySchema, batchRequestSchema } from '../../../../sdk/contract/batch.ts';
import { errors, json, reply } from '../errors.ts';
import { functionRef, invocationHeaders } from '../parameters.ts';

const integer = { type: 'integer' as const, minimum: 1 };

export const batchOperations: RouteConfig[] = [
  {
    method: 'post',
    path: '/v1/functions/{ref}/batch',
    operationId: 'invokeBatch',
    summary: 'Calls a function once for each event, without waiting',
    request: {
      params: functionRef,
      headers: invocationHeaders.omit({ prefer: true }),
      body: {
        required: true,
        content: json(batchRequestSchema, { events: [{ name: 'Ada' }, { name: 'Grace' }] }),
      },
    },
    responses: {
      202: reply(
        'What became of each event, in their order: one may be refused, and the others are taken.',
        json(batchReplySchema),
        {
          'retry-after': { description: 'Seconds, where one was refused.', schema: integer, required: false },
        },
      ),
      ...errors('invalid_request', 'unsupported', 'function_not_found', 'body_too_large'),
    },
  },
];
