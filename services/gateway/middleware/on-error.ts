import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { ZodError } from 'zod';
import type { ErrorBody } from '../../../sdk/contract/error.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayEnv } from '../deps.ts';
import { rateLimitHeaders } from '../rate-limit-headers.ts';

/** The only translator from an error to HTTP. What is neither ours nor the request's is a bug: logged, and a 500. */
export function onError(error: Error, c: Context<GatewayEnv>): Response {
  return replyError(error, c, bodyOf);
}

/** With another body, for clients of another API. */
export function replyError(
  error: Error,
  c: Context<GatewayEnv>,
  body: (known: PlatformError) => object,
): Response {
  const known = toPlatformError(error);
  const logger = c.get('logger');
  if (known.code === 'internal') logger.error({ err: error }, 'request failed');
  // What is wrong with a request quotes it, and that may be a secret: who sent it is told, and the log is not.
  else if (known.code === 'invalid_request') logger.debug({ code: known.code }, 'request refused');
  else logger.debug({ code: known.code, field: known.details.field }, known.message);
  return errorResponse(c, known, body(known));
}

export function toPlatformError(error: Error): PlatformError {
  if (error instanceof PlatformError) return error;
  if (error instanceof ZodError) return fromZodError(error);
  if (isRedisFailure(error))
    return new PlatformError('unavailable', 'Redis does not answer', { cause: error });
  return new PlatformError('internal', 'the platform failed; its log says why', { cause: error });
}

function bodyOf({ code, message, details: { field, invocationId } }: PlatformError): ErrorBody {
  return {
    error: { code, message, ...(field !== undefined && { field }), ...(invocationId && { invocationId }) },
  };
}

function errorResponse(c: Context, { code, status, details }: PlatformError, body: object): Response {
  const { invocationId, retryAfterSeconds, rateLimit } = details;
  if (retryAfterSeconds !== undefined) c.header('retry-after', String(retryAfterSeconds));
  for (const [name, value] of Object.entries(rateLimit ? rateLimitHeaders(rateLimit) : {}))
    c.header(name, value);
  // RFC 6750, section 3.
  if (code === 'unauthorized') c.header('www-authenticate', 'Bearer realm="oncebox"');
  if (invocationId) c.header('oncebox-invocation-id', invocationId);
  return c.json(body, status as ContentfulStatusCode);
}

/** The first issue, with the path a caller would write: `limits.wallMs`, `files.0.path`; `body` for the whole. */
function fromZodError({ issues }: ZodError): PlatformError {
  const issue = issues[0];
  const path = [...(issue?.path ?? [])];
  if (issue?.code === 'unrecognized_keys') path.push(issue.keys[0] ?? '');
  const field = path.length === 0 ? 'body' : path.map(String).join('.');
  return new PlatformError('invalid_request', `${field}: ${issue?.message ?? 'invalid'}`, { field });
}

function isRedisFailure(error: Error): boolean {
  return (
    error.name === 'MaxRetriesPerRequestError' ||
    /^(Connection is closed|Command timed out|Stream isn't writeable)/.test(error.message) ||
    /^(OOM|LOADING|READONLY|MISCONF) /.test(error.message)
  );
}
