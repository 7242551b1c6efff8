import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { invocationSchema, invokeQuerySchema } from '../../../../sdk/contract/invocation.ts';
import type { Limits } from '../../../../sdk/contract/limits.ts';
import { type Outcome, outcomeSchema } from '../../../../sdk/contract/outcome.ts';
import { anything, errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';
import {
  acceptedHeaders,
  finishedHeaders,
  functionRef,
  invocationHeaders,
  invocationLinks,
  versionHeader,
} from '../parameters.ts';
import { runRequest } from '../requests.ts';
import { eventStream } from './events.ts';

named('Outcome', outcomeSchema);
export const invocation = named('Invocation', invocationSchema);

const accepted = (headers = {}) =>
  reply(
    'With `Prefer: respond-async`: it waits in the queue.',
    json(invocation),
    { ...acceptedHeaders, ...headers },
    invocationLinks,
  );
type HandlerFailure = Exclude<Outcome['status'], 'ok' | 'compile_failed'>;
const failed = Object.keys({
  exited: 1,
  function_error: 1,
  timeout: 1,
  oom_killed: 1,
  limit_exceeded: 1,
  signaled: 1,
  cancelled: 1,
  lost: 1,
} satisfies Record<HandlerFailure, 1>) as HandlerFailure[];

export function runOperations(maxima: Limits): RouteConfig[] {
  return [
    {
      method: 'post',
      path: '/v1/run',
      operationId: 'run',
      summary: 'Runs a snippet, a program of a language, or an image, in a sandbox of its own',
      description:
        'A program of a language that is compiled has two sandboxes, one after the other: the record tells of the compiler in `compile`, and of the program in all else.',
      request: {
        headers: invocationHeaders,
        body: {
          required: true,
          content: json(runRequest(maxima), { runtime: 'node', code: 'console.log(1 + 1)' }),
        },
      },
      responses: {
        200: reply(
          'It has ended, however it did. With `Accept: text/event-stream`, or `interactive`: as it runs, as `followInvocation` tells it.',
          { ...json(invocation), ...eventStream },
          finishedHeaders,
          invocationLinks,
        ),
        202: accepted(),
        ...errors(
          'invalid_request',
          'unsupported',
          'image_not_found',
          'language_not_found',
          'language_not_installed',
          'body_too_large',
          'idempotency_mismatch',
          'invocation_not_found',
          'queue_full',
          'quota_exceeded',
          'result_pending',
        ),
      },
    },
    {
      method: 'post',
      path: '/v1/functions/{ref}/invoke',
      operationId: 'invokeFunction',
      summary: 'Calls a function; the body is the event',
      description:
        'As `hello`, its current version; as `hello:3`, that one; as `hello:prod`, what the alias says.',
      request: {
        params: functionRef,
        query: invokeQuerySchema,
        headers: invocationHeaders,
        body: { required: false, content: json(anything, { name: 'Ada' }) },
      },
      responses: {
        200: reply(
          'What the handler returned. With `Accept: text/event-stream`: as it runs, as `followInvocation` tells it.',
          { ...json(anything), ...eventStream },
          { ...finishedHeaders, ...versionHeader },
          invocationLinks,
        ),
        202: accepted(versionHeader),
        ...errors(
          'invalid_request',
          'unsupported',
          'function_not_found',
          'version_not_found',
          'alias_not_found',
          'secret_missing',
          'body_too_large',
          'idempotency_mismatch',
          'invocation_not_found',
          'concurrency_exceeded',
          'queue_full',
          'quota_exceeded',
          'result_pending',
          ...failed,
        ),
      },
    },
  ];
}
