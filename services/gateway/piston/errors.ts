import type { Context } from 'hono';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayEnv } from '../deps.ts';
import { replyError } from '../middleware/on-error.ts';

/** Under which the dialect is: clients have either of them built in. */
export const pistonPrefixes = ['/api/v2', '/api/v2/piston'] as const;

export function isPiston(c: Context): boolean {
  return /^\/api\/v2(\/|$)/.test(c.req.path);
}

/** As all errors are answered, with Piston's bodies. */
export function onPistonError(error: Error, c: Context<GatewayEnv>): Response {
  return replyError(error, c, ({ code, message, details }) => {
    // What its body parser says; the trace behind it would be nobody's business.
    const isUnreadable = code === 'invalid_request' && details.field === 'body';
    return isUnreadable ? { stack: `SyntaxError: ${message}`, message } : { message };
  });
}

/** Unknown paths, and known ones with another method. */
export function onPistonNotFound(c: Context<GatewayEnv>): Response {
  if (!isJson(c)) return notJson(c);
  return c.json({ message: 'Not Found' }, 404);
}

/** Whether the request is one that Piston reads: without a body, or with one of JSON. */
export function isJson(c: Context): boolean {
  if (['GET', 'HEAD', 'OPTIONS'].includes(c.req.method)) return true;
  return c.req.header('content-type')?.startsWith('application/json') === true;
}

export function notJson(c: Context): Response {
  return c.json({ message: 'requests must be of type application/json' }, 415);
}

export function refuse(message: string): never {
  throw new PlatformError('invalid_request', message);
}
