import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import {
  deadLetterListSchema,
  deadLetterQuerySchema,
  deadLetterSchema,
} from '../../../../sdk/contract/dead-letter.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';
import { invocationId, redrivenHeaders } from '../parameters.ts';
import { invocation } from './run.ts';

const deadLetter = named('DeadLetter', deadLetterSchema);

export const deadLetterOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/dead-letters',
    operationId: 'listDeadLetters',
    summary: 'Asynchronous invocations of functions that did not end ok, newest first',
    request: { query: deadLetterQuerySchema },
    responses: {
      200: reply('They are kept until they are run again or deleted.', json(deadLetterListSchema)),
      ...errors('invalid_request'),
    },
  },
  {
    method: 'get',
    path: '/v1/dead-letters/{id}',
    operationId: 'getDeadLetter',
    summary: 'One of them',
    request: { params: invocationId },
    responses: { 200: reply('As it died.', json(deadLetter)), ...errors('dead_letter_not_found') },
  },
  {
    method: 'delete',
    path: '/v1/dead-letters/{id}',
    operationId: 'deleteDeadLetter',
    summary: 'Forgets it',
    request: { params: invocationId },
    responses: { 204: { description: 'It is gone.' }, ...errors('dead_letter_not_found') },
  },
  {
    method: 'post',
    path: '/v1/dead-letters/{id}/redrive',
    operationId: 'redriveDeadLetter',
    summary: 'Runs it again, as a call by the same name would run now; once, however often that is asked for',
    request: { params: invocationId },
    responses: {
      202: reply('It waits in the queue.', json(invocation), redrivenHeaders),
      ...errors(
        'dead_letter_not_found',
        'unsupported',
        'function_not_found',
        'version_not_found',
        'alias_not_found',
        'secret_missing',
        'queue_full',
        'quota_exceeded',
      ),
    },
  },
];
