import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { anything, bytes, json, reply } from '../errors.ts';
import { functionRef } from '../parameters.ts';

/**
 * The gateway takes any method, and OpenAPI has no word for that: those that programs are written for are listed. Nor has
 * it one for the rest of a path: `path` may have slashes.
 */
export const triggerMethods = ['get', 'post', 'put', 'patch', 'delete'] as const;

const withPath = functionRef.extend({ path: z.string().describe('The rest of the path, slashes and all.') });
const anyBody = { ...json(anything), 'text/plain': { schema: { type: 'string' as const } } };

export const httpTriggerOperations: RouteConfig[] = triggerMethods.flatMap((method) => [
  trigger(method, '/fn/{ref}', triggerId(method, false)),
  trigger(method, '/fn/{ref}/{path}', triggerId(method, true)),
]);

export function triggerId(method: (typeof triggerMethods)[number], hasPath: boolean): string {
  return `${method}${hasPath ? 'Below' : 'At'}Function`;
}

function trigger(
  method: (typeof triggerMethods)[number],
  path: '/fn/{ref}' | '/fn/{ref}/{path}',
  operationId: string,
): RouteConfig {
  const hasBody = method !== 'get' && method !== 'delete';
  return {
    method,
    path,
    operationId,
    tags: ['fn'],
    summary: 'A function answers the request',
    description:
      'Any other method does the same. The function sees the request as if it had a host for itself, and its answer comes back. Where the platform cannot call it, or it fails, the reply is an error as of `invokeFunction`.',
    request: {
      params: path === '/fn/{ref}' ? functionRef : withPath,
      ...(hasBody && { body: { required: false, content: anyBody } }),
    },
    // All statuses are the function's to use, also those of errors.
    responses: { default: reply('What the function answered, or an error.', { '*/*': bytes }) },
  };
}
