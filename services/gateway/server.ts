import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { getRequestListener, RequestError } from '@hono/node-server';
import type { Hono } from 'hono';
import { type ErrorBody, type ErrorCode, errorStatus } from '../../sdk/contract/error.ts';
import type { GatewayEnv } from './deps.ts';
import { serveUpgrades } from './upgrade.ts';

export interface GatewayServer {
  readonly port: number;
  /** Stops listening, waits up to `drainMs` for requests under way, then cuts what is left. */
  close(drainMs: number): Promise<void>;
}

export interface ListenOptions {
  host: string;
  port: number;
  /** For tests of what slow and many clients meet. */
  bounds?: Partial<Bounds>;
}

interface Bounds {
  /** From a connection's, or a request's, first byte to the end of its headers. */
  headersMs: number;
  /** How long a body may stand still. */
  stallMs: number;
  /** How long a body may take in all; an image's archive takes as long as bytes of it come. */
  bodyMs: number;
  /** Connections at once. */
  connections: number;
}

const defaultBounds: Bounds = { headersMs: 10_000, stallMs: 20_000, bodyMs: 60_000, connections: 8_192 };

/** Serves the app. Rejects if the address cannot be listened on. */
export async function listen(app: Hono<GatewayEnv>, options: ListenOptions): Promise<GatewayServer> {
  const { host, port } = options;
  const bounds = { ...defaultBounds, ...options.bounds };
  const listener = getRequestListener(app.fetch, { errorHandler: answerUnreadable });
  const server = createServer(
    {
      headersTimeout: bounds.headersMs,
      connectionsCheckingInterval: Math.ceil(bounds.headersMs / 4),
      // Replies may take as long as they take. How long a body may is not the same for all: `watchArrival`.
      requestTimeout: 0,
      // The adapter looks, and its complaint has a body.
      requireHostHeader: false,
    },
    listener,
  );
  server.maxConnections = bounds.connections;
  // Who does nothing makes room for who comes.
  server.on('drop', () => server.closeIdleConnections());
  server.on('clientError', answerMalformed);
  const underWay = new Set<ServerResponse>();
  server.on('request', (request, response) => {
    watchArrival(request, response, bounds);
    underWay.add(response);
    response.once('close', () => underWay.delete(response));
  });
  const upgraded = serveUpgrades(server, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    async close(drainMs) {
      // A connection kept alive falls idle with its reply, and would hold the server open for seconds more.
      for (const response of underWay)
        response.once('close', () => setImmediate(() => server.closeIdleConnections()));
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = new AbortController();
      await Promise.race([closed, delay(drainMs, undefined, { signal: timer.signal }).catch(() => {})]);
      timer.abort();
      server.closeAllConnections();
      upgraded.cut();
      await closed;
    },
  };
}

/**
 * A client that sends slowly holds a connection for a bounded time only. Who has not had a reply by then gets a 408; the
 * handler, which waits for the body, is told by the connection's end.
 */
function watchArrival(
  request: IncomingMessage,
  response: ServerResponse,
  { stallMs, bodyMs }: Pick<Bounds, 'stallMs' | 'bodyMs'>,
): void {
  if (request.complete) return;
  const { socket } = request;
  const isUpload = /^\/v1\/images\/(import|build)\b/.test(request.url ?? '');
  const startedAt = performance.now();
  let seenBytes = socket.bytesRead;
  const timer = setInterval(() => {
    const isStill = socket.bytesRead === seenBytes;
    const isLate = !isUpload && performance.now() - startedAt >= bodyMs;
    seenBytes = socket.bytesRead;
    if (request.complete) clearInterval(timer);
    else if (isStill || isLate) {
      clearInterval(timer);
      // Behind a request whose answer is still to come, it would be taken for that answer.
      const isItsTurn = responseUnderWay(socket) === response;
      if (isItsTurn && !response.headersSent)
        socket.write(plainReply('request_timeout', 'the body did not come in time'));
      request.destroy();
    }
  }, stallMs).unref();
  request.once('close', () => clearInterval(timer));
}

/** What the adapter cannot make a request of: a URL or a Host that is none. All else is answered by the app. */
function answerUnreadable(error: unknown): Response {
  const code: ErrorCode = error instanceof RequestError ? 'invalid_request' : 'internal';
  const message = code === 'internal' ? 'the platform failed' : (error as Error).message;
  return Response.json({ error: { code, message } } satisfies ErrorBody, { status: errorStatus[code] });
}

/** What the HTTP parser refuses never becomes a request: its reply is written by hand. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  // What begins in the middle of another reply would be taken for its body.
  const isUnderWay = responseUnderWay(socket)?.headersSent === true;
  if (!socket.writable || error.code === 'ECONNRESET' || isUnderWay) return void socket.destroy();
  socket.end(replyToMalformed(error.code));
}

/** The response that is the next to be written: of pipelined requests, the first one's that is not answered. */
function responseUnderWay(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse })._httpMessage;
}

function replyToMalformed(code: string | undefined): string {
  if (code === 'HPE_HEADER_OVERFLOW')
    return plainReply('headers_too_large', 'the path and the headers together are larger than 16 KiB');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return plainReply('request_timeout', 'the headers did not come in time');
  return plainReply('invalid_request', 'this is not HTTP/1.1');
}

function plainReply(code: ErrorCode, message: string): string {
  const status = errorStatus[code];
  const body = JSON.stringify({ error: { code, message } } satisfies ErrorBody);
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}
