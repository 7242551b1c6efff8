import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import type { Hono } from 'hono';
import type { GatewayEnv } from './deps.ts';

export interface GatewayServer {
  readonly port: number;
  /** Stops listening, waits up to `drainMs` for requests under way, then cuts what is left. */
  close(drainMs: number): Promise<void>;
}

/** Serves the app. Rejects if the address cannot be listened on. */
export async function listen(
  app: Hono<GatewayEnv>,
  { host, port }: { host: string; port: number },
): Promise<GatewayServer> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    // Replies may take as long as they take. How long a body may is not the same for all: `watchArrival`.
    serverOptions: { headersTimeout: 10_000, requestTimeout: 0, connectionsCheckingInterval: 5_000 },
  }) as Server;
  const underWay = new Set<ServerResponse>();
  server.on('request', (request, response) => {
    watchArrival(request);
    underWay.add(response);
    response.once('close', () => underWay.delete(response));
  });
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
      await closed;
    },
  };
}

const arrivalMs = 60_000;

/**
 * A client that sends slowly holds a connection no longer than a minute; an image's archive may take as long as bytes
 * of it come.
 */
function watchArrival(request: IncomingMessage): void {
  const isUpload = /^\/v1\/images\/(import|build)\b/.test(request.url ?? '');
  let seenBytes = request.socket.bytesRead;
  const timer = setInterval(() => {
    const { bytesRead } = request.socket;
    if (request.complete) clearInterval(timer);
    else if (!isUpload || bytesRead === seenBytes) request.destroy();
    seenBytes = bytesRead;
  }, arrivalMs).unref();
  request.once('close', () => clearInterval(timer));
}
