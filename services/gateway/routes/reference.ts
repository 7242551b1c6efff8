import { Hono } from 'hono';
import { compress } from 'hono/compress';
import { etag } from 'hono/etag';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayEnv } from '../deps.ts';
import { referenceFiles, referencePage } from '../reference/files.ts';

/**
 * Nothing but what this gateway serves, and requests to it. swagger-ui sets styles by attributes and has its icons in data
 * URLs.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  'img-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const headers = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  // Asked for anew each time, and not sent again: another release has others.
  'cache-control': 'no-cache',
};

/** `GET /reference`: the document as a page, all of it from here. `GET /` leads there. */
export function referenceRoutes(): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>()
    .use('/reference/*', compress(), etag())
    .get('/', (c) => c.redirect('/reference'))
    .get('/reference', (c) => c.html(referencePage, 200, headers))
    .get('/reference/:file', (c) => {
      const name = c.req.param('file');
      if (!Object.hasOwn(referenceFiles, name))
        throw new PlatformError('route_not_found', `there is no ${c.req.path}`);
      const { type, text } = referenceFiles[name as keyof typeof referenceFiles];
      return c.body(text, 200, { ...headers, 'content-type': `${type}; charset=utf-8` });
    });
}
