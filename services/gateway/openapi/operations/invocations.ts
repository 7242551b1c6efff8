import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { bytes, errors, json, reply } from '../errors.ts';
import { invocationId } from '../parameters.ts';
import { invocation } from './run.ts';

export const invocationOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/invocations/{id}',
    operationId: 'getInvocation',
    summary: 'The record of an invocation',
    request: { params: invocationId },
    responses: { 200: reply('As it is now.', json(invocation)), ...errors('invocation_not_found') },
  },
  {
    method: 'delete',
    path: '/v1/invocations/{id}',
    operationId: 'cancelInvocation',
    summary: 'Cancels an invocation',
    request: { params: invocationId },
    responses: {
      200: reply('It waited and is cancelled, or was over already.', json(invocation)),
      202: reply('Its worker has been told; the record says when it is over.', json(invocation)),
      ...errors('invocation_not_found'),
    },
  },
  {
    method: 'get',
    path: '/v1/invocations/{id}/files',
    operationId: 'getInvocationFiles',
    summary: 'What it left in its writable layer, where `"diff": "archive"` asked for that',
    request: { params: invocationId },
    responses: {
      200: reply(
        'A tar.',
        { 'application/x-tar': bytes },
        { 'content-disposition': { schema: { type: 'string' }, required: true } },
      ),
      ...errors('invocation_not_found'),
    },
  },
];
