import { isUtf8 } from 'node:buffer';
import { type Context, Hono } from 'hono';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch } from '../dispatch.ts';
import { findFunction } from '../function-request.ts';
import { endToEnd, httpResponse, withoutKeys } from '../http-response.ts';
import { readBody } from '../read-body.ts';
import { failureReply } from './invoke.ts';

const bodyMaxBytes = 6 * 1024 * 1024;

/** `ANY /fn/:ref/*`: the request goes to the function, and its response comes back. */
export function httpTriggerRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  async function call(c: Context<GatewayEnv>) {
    // Before the body is read, and before anything is enqueued.
    const called = await findFunction(deps, c.req.param('ref') ?? '', c.get('tenant'));
    c.header('oncebox-function-version', String(called.version));
    const body = await readBody(c, Math.min(bodyMaxBytes, deps.config.ONCEBOX_BODY_MAX_BYTES));
    const id = newInvocationId();
    const eventJson = JSON.stringify(httpEvent(c, body));
    return dispatch(c, deps, id, called.request(id, eventJson, { http: true }), (invocation) =>
      invocation.outcome?.status === 'ok' ? httpResponse(invocation) : failureReply(invocation),
    );
  }
  return new Hono<GatewayEnv>().all('/fn/:ref', call).all('/fn/:ref/*', call);
}

/** What a handler that knows events only is given; interpreters make requests of it for those that know requests. */
function httpEvent(c: Context, body: Buffer) {
  const url = new URL(c.req.url);
  const [, fn, name] = url.pathname.split('/');
  const prefix = `/${fn}/${name}`;
  // To the function its own root is the root, as if it had a host for itself; the prefix is for links.
  url.pathname = url.pathname.slice(prefix.length) || '/';
  const rawHeaders = withoutKeys(endToEnd([...c.req.raw.headers]));
  rawHeaders.push(['x-forwarded-prefix', prefix]);
  return {
    method: c.req.method,
    url: url.href,
    path: url.pathname,
    prefix,
    query: Object.fromEntries(url.searchParams),
    headers: Object.fromEntries(new Headers(rawHeaders)),
    rawHeaders,
    ...(body.length === 0
      ? {}
      : isUtf8(body)
        ? { body: body.toString() }
        : { bodyBase64: body.toString('base64') }),
  };
}
