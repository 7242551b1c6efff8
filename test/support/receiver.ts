import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach } from 'vitest';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Receiver {
  /** On the loopback, with `path`. */
  url(path?: string): string;
  /** What has come, in its order; emptied before each test. */
  readonly received: Received[];
  /** What is answered, in place of a 204; forgotten before each test. */
  answer: RequestListener | undefined;
}

/** An HTTP server that callbacks are sent to, for the tests of a file. */
export function useReceiver(): Receiver {
  let server: Server;
  const receiver: Receiver = {
    url: (path = '/') => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    received: [],
    answer: undefined,
  };
  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const { url: path = '', headers } = request;
      const body = await text(request).catch(() => undefined);
      // Who sent it was killed in the middle of it.
      if (body === undefined) return;
      receiver.received.push({ path, headers, body });
      if (receiver.answer) receiver.answer(request, response);
      else response.writeHead(204).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(() => {
    receiver.received.length = 0;
    receiver.answer = undefined;
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return receiver;
}
