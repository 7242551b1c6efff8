import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import type { Context } from 'hono';
import { PlatformError } from '../shared/platform-error.ts';
import type { GatewayEnv } from './deps.ts';

/** What is sent: a text that was checked here, or the request's own body as it comes in, up to `maxBytes`. */
export type ForwardedBody = string | { maxBytes: number };

/**
 * Hands the request to the node on this machine, at its own path unless another is given, and streams its reply, error bodies included. A caller who hangs up
 * ends it there too. Throws PlatformError `unavailable` when there is no node.
 */
export async function forward(
  c: Context<GatewayEnv>,
  socketPath: string,
  body?: ForwardedBody,
  path?: string,
): Promise<Response> {
  const { signal } = c.req.raw;
  const upload = typeof body === 'object' ? uploadOf(c, body.maxBytes) : undefined;
  const { pathname, search } = new URL(c.req.url);
  const outgoing = httpRequest({
    socketPath,
    method: c.req.method,
    path: path ?? pathname + search,
    headers: {
      'oncebox-tenant': c.get('tenant'),
      ...pick(c, 'accept'),
      ...(upload ? { ...pick(c, 'content-type'), ...pick(c, 'content-length') } : {}),
      ...(typeof body === 'string' && { 'content-type': 'application/json' }),
    },
    signal,
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
  });
  // A node that has answered may not want the rest; its answer says why.
  outgoing.on('error', () => {});
  let refused: PlatformError | undefined;
  upload?.once('error', (error) => {
    if (error instanceof PlatformError) refused = error;
  });
  if (upload) pipeline(upload, outgoing).catch(() => {});
  else outgoing.end(body);

  try {
    const incoming = await answered;
    const headers = { 'content-type': incoming.headers['content-type'] ?? 'application/json' };
    // With this status a response may have no body, not even an empty one.
    if (incoming.statusCode === 204) return new Response(null, { status: 204 });
    return new Response(Readable.toWeb(incoming) as ReadableStream<Uint8Array>, {
      status: incoming.statusCode ?? 502,
      headers,
    });
  } catch (error) {
    if (refused) throw refused;
    throw new PlatformError(
      'unavailable',
      'no node runs on the machine of this gateway: images are kept where a worker is',
      { cause: error },
    );
  }
}

/** Throws `body_too_large` as soon as that is known. */
function uploadOf(c: Context<GatewayEnv>, maxBytes: number): Readable {
  const tooLarge = () =>
    new PlatformError('body_too_large', `the upload is larger than ONCEBOX_IMAGE_MAX_BYTES, ${maxBytes}`, {
      field: 'body',
    });
  if (Number(c.req.header('content-length') ?? 0) > maxBytes) throw tooLarge();
  const { body } = c.req.raw;
  if (body === null) return Readable.from([]);
  let size = 0;
  const counter = new Transform({
    transform(chunk: Uint8Array, _, done) {
      size += chunk.byteLength;
      if (size > maxBytes) done(tooLarge());
      else done(null, chunk);
    },
  });
  const source = Readable.fromWeb(body as ReadableStream);
  source.on('error', (error) => counter.destroy(error));
  return source.pipe(counter);
}

function pick(c: Context<GatewayEnv>, name: string): Record<string, string> {
  const value = c.req.header(name);
  return value === undefined ? {} : { [name]: value };
}
