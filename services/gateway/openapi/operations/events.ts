import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { errors, reply } from '../errors.ts';
import { invocationId } from '../parameters.ts';

const text = { schema: { type: 'string' as const } };
const ofInvocation = {
  'oncebox-invocation-id': { description: 'Reads the record.', schema: { type: 'string' }, required: true },
};

/** What a reply with events is: also that of `run` and `invokeFunction`, for who accepts it. */
export const eventStream = { 'text/event-stream': text };

const logsQuery = z.strictObject({
  stream: z
    .enum(['stdout', 'stderr'])
    .optional()
    .describe('Unless given, both in the order in which they came.'),
  tail: z
    .int()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe('Of what there is already, the last so many lines.'),
  follow: z.enum(['0', '1', 'true', 'false']).optional().describe('Until the invocation ends.'),
});

export const eventOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/invocations/{id}/events',
    operationId: 'followInvocation',
    summary: 'What an invocation says, live and from its beginning',
    description:
      'Server-sent events `started`, `stage`, `stdout`, `stderr`, `head`, `chunk` and, last, `end` with the record. With `Last-Event-ID` only those behind that one. A client that leaves cancels nothing.',
    request: {
      params: invocationId,
      headers: z.object({ 'last-event-id': z.string().optional() }),
    },
    responses: {
      200: reply('The events.', eventStream, ofInvocation),
      204: reply('`Last-Event-ID` is that of the last one: there is nothing more to come.', undefined),
      ...errors('invocation_not_found'),
    },
  },
  {
    method: 'get',
    path: '/v1/invocations/{id}/logs',
    operationId: 'getInvocationLogs',
    summary: 'What an invocation has printed, as text',
    request: { params: invocationId, query: logsQuery },
    responses: {
      200: reply(
        'With `follow` as it comes, until the invocation ends.',
        { 'text/plain': text },
        ofInvocation,
      ),
      ...errors('invalid_request', 'invocation_not_found'),
    },
  },
];
