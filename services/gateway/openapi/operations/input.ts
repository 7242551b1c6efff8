import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { signalRequestSchema } from '../../../../sdk/contract/input.ts';
import { bytes, errors, json, reply } from '../errors.ts';
import { invocationId } from '../parameters.ts';

export const inputOperations: RouteConfig[] = [
  {
    method: 'put',
    path: '/v1/invocations/{id}/stdin/{number}',
    operationId: 'writeStdin',
    summary: 'Sends a piece of stdin to an invocation that was started with `interactive`',
    description:
      'The body is the bytes, 64 KiB at most; an empty one is the end of stdin. Pieces are numbered from 1, so one that is sent again arrives once. It waits for a program that is slow to read.',
    request: {
      params: invocationId.extend({ number: z.int().min(1).max(999_999_999) }),
      body: { required: false, content: { 'application/octet-stream': { ...bytes } } },
    },
    responses: {
      204: reply('The program gets it, behind those before.', undefined),
      ...errors(
        'invalid_request',
        'invocation_not_found',
        'input_refused',
        'body_too_large',
        'input_full',
        'quota_exceeded',
      ),
    },
  },
  {
    method: 'post',
    path: '/v1/invocations/{id}/signal',
    operationId: 'sendSignal',
    summary: 'Sends a signal to the main process of an invocation that was started with `interactive`',
    description:
      'It does not wait behind stdin. One that comes before the program runs is sent when it begins.',
    request: {
      params: invocationId,
      body: { required: true, content: json(signalRequestSchema, { signal: 'SIGINT' }) },
    },
    responses: {
      204: reply('It is on its way.', undefined),
      ...errors(
        'invalid_request',
        'invocation_not_found',
        'input_refused',
        'body_too_large',
        'input_full',
        'quota_exceeded',
      ),
    },
  },
];
