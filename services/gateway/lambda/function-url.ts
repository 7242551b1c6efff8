import { isUtf8 } from 'node:buffer';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch } from '../dispatch.ts';
import { findFunction } from '../function-request.ts';
import { endToEnd, withoutKeys } from '../http-response.ts';
import { resourceNotFound } from './errors.ts';
import { executedVersion, parseTarget, referenceOf } from './function-name.ts';
import { functionUrlPrefix } from './paths.ts';
import { readBytes } from './read.ts';
import { bufferedResponse, responseOf, streamedResponse } from './url-response.ts';
import { urlConfigIn } from './urls.ts';

const bodyMaxBytes = 6 * 1024 * 1024;

/** `ANY /lambda-url/:name/*`: a function's URL. The handler gets the request as an event of payload format 2.0. */
export function functionUrl(deps: GatewayDeps) {
  return async (c: Context<GatewayEnv>): Promise<Response> => {
    const target = parseTarget(c.req.param('name') ?? '');
    const record = await deps.registry.get(target.name, c.get('tenant'));
    const url = urlConfigIn(record, target.qualifier);
    if (!url) throw resourceNotFound('there is no URL of this function');
    const called = await findFunction(deps, referenceOf(target), c.get('tenant'));
    const body = await readBytes(c, Math.min(bodyMaxBytes, deps.config.ONCEBOX_BODY_MAX_BYTES));
    const id = newInvocationId();
    c.header('x-amzn-requestid', id);
    const functionVersion = executedVersion(target, called.version);
    const request = called.request(id, JSON.stringify(eventOf(c, id, target.name, body)), {
      functionVersion,
    });
    const streamed = url.InvokeMode === 'RESPONSE_STREAM' ? streamedResponse : bufferedResponse;
    return dispatch(c, deps, id, request, responseOf, { streamed });
  };
}

function eventOf(c: Context<GatewayEnv>, id: string, name: string, body: Buffer) {
  const url = new URL(c.req.url);
  const rawPath = url.pathname.slice(`${functionUrlPrefix}/${c.req.param('name')}`.length) || '/';
  const given = withoutKeys(endToEnd([...c.req.raw.headers]));
  const headers = Object.fromEntries(given.filter(([header]) => header !== 'cookie'));
  const cookies = (c.req.header('cookie') ?? '').split(';').map((cookie) => cookie.trim());
  const query = [...new Set(url.searchParams.keys())].map((key) => [
    key,
    url.searchParams.getAll(key).join(','),
  ]);
  const now = new Date(c.get('receivedAtMs'));
  const isText = /^(text\/|application\/(json|javascript|xml|.*\+(json|xml)))/i.test(
    headers['content-type'] ?? '',
  );
  const isBase64Encoded = body.length > 0 && !(isText && isUtf8(body));
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString: url.search.slice(1),
    ...(cookies[0] !== '' && { cookies }),
    headers,
    ...(query.length > 0 && { queryStringParameters: Object.fromEntries(query) }),
    requestContext: {
      accountId: 'anonymous',
      apiId: name,
      domainName: url.host,
      domainPrefix: name,
      http: {
        method: c.req.method,
        path: rawPath,
        protocol: 'HTTP/1.1',
        sourceIp: sourceIpOf(c),
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: id,
      routeKey: '$default',
      stage: '$default',
      time: timeOf(now),
      timeEpoch: now.getTime(),
    },
    ...(body.length > 0 && { body: body.toString(isBase64Encoded ? 'base64' : 'utf8') }),
    isBase64Encoded,
  };
}

/** Of who is at the other end of the connection, which may be a proxy; IPv4 as such also where a socket has both. */
function sourceIpOf({ env }: Context): string {
  const { incoming }: Partial<HttpBindings> = env ?? {};
  return incoming?.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
}

/** `12/Mar/2020:19:03:58 +0000` */
function timeOf(now: Date): string {
  const [, day, month, year, time] = /, (\d\d) (\w{3}) (\d{4}) (\S+) GMT$/.exec(now.toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
}
