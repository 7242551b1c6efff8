import { z } from 'zod';
import { type ResponseHead, responseHeadSchema } from '../../sdk/contract/events.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { PlatformError } from '../shared/platform-error.ts';

/** One whose body goes out as it is. */
export interface RawReply {
  status: number;
  headers: Headers;
  raw: string | Uint8Array<ArrayBuffer> | null;
}

/** What an interpreter makes of a response that is whole. */
const wholeResponseSchema = responseHeadSchema.extend({
  body: z.string().optional(),
  bodyBase64: z.string().optional(),
});

/** RFC 9110, 7.6.1: they are about one connection. The server itself says how long the body is. */
const hopByHop = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length'],
]);

/** Headers of an HTTP message without those that are about its connection, also those that `connection` names. */
export function endToEnd(headers: readonly (readonly [string, string])[]): [string, string][] {
  const named = headers.filter(([name]) => name.toLowerCase() === 'connection');
  const dropped = new Set([
    ...hopByHop,
    ...named.flatMap(([, value]) =>
      value
        .toLowerCase()
        .split(',')
        .map((name) => name.trim()),
    ),
  ]);
  return headers
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .filter(([name]) => !dropped.has(name));
}

/** What begins with `oncebox-` only the platform says. */
export function responseHeaders({ headers }: ResponseHead): Headers {
  return new Headers(endToEnd(headers).filter(([name]) => !name.startsWith('oncebox-')));
}

/** The response that a function made, whole. Throws `function_error` when it is none. */
export function httpResponse({ id, outcome }: Invocation): RawReply {
  const result = outcome?.status === 'ok' ? outcome.result : undefined;
  const parsed = wholeResponseSchema.safeParse(result);
  if (!parsed.success)
    throw new PlatformError('function_error', 'the function made no HTTP response: it is malformed', {
      invocationId: id,
    });
  const { status, body = '', bodyBase64 } = parsed.data;
  const bytes = bodyBase64 === undefined ? body : new Uint8Array(Buffer.from(bodyBase64, 'base64'));
  return { status, headers: responseHeaders(parsed.data), raw: bodyAllowed(status) ? bytes : null };
}

/** Of these a response never has one. */
export function bodyAllowed(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304;
}

/** The platform's own keys are none of the function's business. */
export function withoutKeys(headers: [string, string][]): [string, string][] {
  return headers.filter(
    ([name, value]) =>
      !(name === 'authorization' && /^(bearer\s+ocb_|aws4-hmac-sha256\s)/i.test(value)) &&
      !(name === 'x-api-key' && value.startsWith('ocb_')) &&
      name !== 'x-forwarded-prefix',
  );
}
