import type { Context, Hono } from 'hono';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayEnv } from '../deps.ts';
import { onError } from './on-error.ts';

/** An unknown path is a 404; a known one with another method a 405 that lists the right ones. */
export function onNotFound(c: Context<GatewayEnv>, routes: Hono<GatewayEnv>['routes']): Response {
  const allowed = new Set(
    routes
      .filter(({ method, path }) => method !== 'ALL' && pathMatches(path, c.req.path))
      .map(({ method }) => method),
  );
  if (allowed.size === 0) {
    return onError(new PlatformError('route_not_found', `there is no ${c.req.path}`), c);
  }
  const allow = [...allowed].sort().join(', ');
  c.header('allow', allow);
  return onError(
    new PlatformError('method_not_allowed', `${c.req.method} is not allowed here: use ${allow}`),
    c,
  );
}

function pathMatches(pattern: string, path: string): boolean {
  const patternParts = pattern.split('/');
  const parts = path.split('/');
  return (
    parts.length === patternParts.length &&
    patternParts.every(
      (part, index) => part === parts[index] || (part.startsWith(':') && parts[index] !== ''),
    )
  );
}
