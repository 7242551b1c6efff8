import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { ErrorCode } from '../../../sdk/contract/error.ts';
import type { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayEnv } from '../deps.ts';
import { toPlatformError } from '../middleware/on-error.ts';

/** What is wrong in Lambda's own words. */
export class LambdaError extends Error {
  override readonly name = 'LambdaError';
  readonly type: string;
  readonly status: number;

  constructor(type: string, status: number, message: string) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

export const invalidParameter = (message: string) =>
  new LambdaError('InvalidParameterValueException', 400, message);
export const resourceConflict = (message: string) =>
  new LambdaError('ResourceConflictException', 409, message);
export const resourceNotFound = (message: string) =>
  new LambdaError('ResourceNotFoundException', 404, message);

export const unknownOperation = ({ method, path }: { method: string; path: string }) =>
  new LambdaError('UnknownOperationException', 404, `There is no operation ${method} ${path} here.`);

/** Whatever fails on a path of Lambda's, in the shape that its clients read. */
export function onLambdaError(error: Error, c: Context<GatewayEnv>): Response {
  const logger = c.get('logger');
  if (error instanceof LambdaError) {
    logger.debug({ type: error.type }, error.message);
    return reply(c, { type: error.type, status: error.status, message: error.message });
  }
  const known = toPlatformError(error);
  if (known.code === 'internal') logger.error({ err: error }, 'request failed');
  else logger.debug({ code: known.code }, known.message);
  const { retryAfterSeconds, invocationId } = known.details;
  if (retryAfterSeconds !== undefined) c.header('retry-after', String(retryAfterSeconds));
  if (invocationId) c.header('oncebox-invocation-id', invocationId);
  return reply(c, { ...typeOf(known), message: known.message });
}

interface ErrorReply {
  type: string;
  status: number;
  message: string;
  reason?: string;
}

function reply(c: Context<GatewayEnv>, { type, status, message, reason }: ErrorReply): Response {
  c.header('x-amzn-errortype', type);
  c.header('x-amzn-requestid', c.get('requestId'));
  const who = status < 500 ? 'User' : 'Service';
  // Of its errors some have "Message" and some "message"; clients look for the one that they expect.
  const body = { Type: who, Message: message, message, ...(reason !== undefined && { Reason: reason }) };
  return c.json(body, status as ContentfulStatusCode);
}

const invalid = { type: 'InvalidParameterValueException', status: 400 };
const notFound = { type: 'ResourceNotFoundException', status: 404 };
const throttled = (reason: string) => ({ type: 'TooManyRequestsException', status: 429, reason });
const noOperation = { type: 'UnknownOperationException', status: 404 };

const types: Partial<Record<ErrorCode, Omit<ErrorReply, 'message'>>> = {
  function_not_found: notFound,
  version_not_found: notFound,
  alias_not_found: notFound,
  route_not_found: noOperation,
  method_not_allowed: noOperation,
  unauthorized: { type: 'MissingAuthenticationTokenException', status: 403 },
  forbidden: { type: 'AccessDeniedException', status: 403 },
  version_in_use: { type: 'ResourceConflictException', status: 409 },
  body_too_large: { type: 'RequestTooLargeException', status: 413 },
  concurrency_exceeded: throttled('ReservedFunctionConcurrentInvocationLimitExceeded'),
  queue_full: throttled('ConcurrentInvocationLimitExceeded'),
  rate_limited: throttled('CallerRateLimitExceeded'),
  quota_exceeded: throttled('ConcurrentInvocationLimitExceeded'),
};

function typeOf({ code, status }: PlatformError): Omit<ErrorReply, 'message'> {
  return types[code] ?? (status < 500 ? invalid : { type: 'ServiceException', status });
}
