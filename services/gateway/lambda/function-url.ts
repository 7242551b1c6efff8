import { isUtf8 } from 'node:buffer';
import type { Context } from 'hono';
import type { StatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch } from '../dispatch.ts';
import { findFunction } from '../function-request.ts';
import { bodyAllowed, endToEnd, type RawReply, withoutKeys } from '../http-response.ts';
import { resourceNotFound } from './errors.ts';
import { executedVersion, parseTarget, referenceOf } from './function-name.ts';
import { functionUrlPrefix } from './paths.ts';
import { readBytes } from './read.ts';
import { urlConfigIn } from './urls.ts';

const bodyMaxBytes = 6 * 1024 * 1024;

/** `ANY /lambda-url/:name/*`: a function's URL. The handler gets the request as an event of payload format 2.0. */
export function functionUrl(deps: GatewayDeps) {
  return async (c: Context<GatewayEnv>): Promise<Response> => {
    const target = parseTarget(c.req.param('name') ?? '');
    const record = await deps.registry.get(target.name, c.get('tenant'));
    if (!urlConfigIn(record, target.qualifier)) throw resourceNotFound('there is no URL of this function');
    const called = await findFunction(deps, referenceOf(target), c.get('tenant'));
    const body = await readBytes(c, Math.min(bodyMaxBytes, deps.config.ONCEBOX_BODY_MAX_BYTES));
    const id = newInvocationId();
    c.header('x-amzn-requestid', id);
    const functionVersion = executedVersion(target, called.version);
    const request = called.request(id, JSON.stringify(eventOf(c, id, target.name, body)), {
      functionVersion,
    });
    return dispatch(c, deps, id, request, responseOf, 'finished');
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
        sourceIp: '127.0.0.1',
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

/** `12/Mar/2020:19:03:58 +0000` */
function timeOf(now: Date): string {
  const [, day, month, year, time] = /, (\d\d) (\w{3}) (\d{4}) (\S+) GMT$/.exec(now.toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
}

const responseSchema = z.object({
  statusCode: z.coerce.number().int().min(200).max(599),
  headers: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullish(),
  cookies: z.array(z.string()).nullish(),
  body: z.unknown(),
  isBase64Encoded: z.boolean().nullish(),
});

/** What a handler returns is the response where it has a `statusCode`, and else the body of one. */
function responseOf({ outcome }: Invocation): RawReply {
  if (outcome?.status !== 'ok') return failed;
  const { result = null } = outcome;
  const isResponse = typeof result === 'object' && result !== null && 'statusCode' in result;
  if (!isResponse) return { status: 200, headers: jsonHeaders(), raw: textOf(result) };
  const parsed = responseSchema.safeParse(result);
  if (!parsed.success) return failed;
  const { statusCode, headers: given, cookies, body, isBase64Encoded } = parsed.data;
  const headers = jsonHeaders();
  try {
    const pairs = Object.entries(given ?? {}).map(([name, value]): [string, string] => [name, String(value)]);
    for (const [name, value] of endToEnd(pairs)) if (!name.startsWith('oncebox-')) headers.set(name, value);
    for (const cookie of cookies ?? []) headers.append('set-cookie', cookie);
  } catch {
    // No names or values of headers.
    return failed;
  }
  const text = body === undefined || body === null ? '' : textOf(body);
  const raw = isBase64Encoded ? new Uint8Array(Buffer.from(text, 'base64')) : text;
  return { status: statusCode as StatusCode, headers, raw: bodyAllowed(statusCode) ? raw : null };
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
const jsonHeaders = () => new Headers({ 'content-type': 'application/json' });

/** As a function's URL at AWS: what happened, the log says. */
const failed: RawReply = {
  status: 502,
  get headers() {
    return jsonHeaders();
  },
  raw: '{"Message":"Internal Server Error"}',
};
