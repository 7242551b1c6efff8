import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach } from 'vitest';

/** A reply, or what becomes of the connection. */
type Step = { status: number; headers?: Record<string, string>; body?: unknown } | 'cut';

interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  atMs: number;
}

interface ScriptedServer {
  readonly url: string;
  /** All requests of the test, in their order. */
  readonly seen: Seen[];
  /** One for each request to come; the last one stays. */
  answer(...steps: Step[]): void;
}

/** A server that refuses and cuts as it is told: faults that a platform cannot be brought to at will. */
export function useScriptedServer(): ScriptedServer {
  let steps: Step[] = [];
  let port = 0;
  const seen: Seen[] = [];
  const server = createServer((request, response) => void reply(request, response));

  async function reply(request: IncomingMessage, response: ServerResponse) {
    const { method = '', url = '', headers } = request;
    seen.push({ method, path: url, headers, body: await text(request), atMs: performance.now() });
    const step = (steps.length > 1 ? steps.shift() : steps[0]) ?? 'cut';
    if (step === 'cut') return void request.socket.destroy();
    const body = typeof step.body === 'string' ? step.body : JSON.stringify(step.body ?? {});
    response.writeHead(step.status, step.headers).end(body);
  }

  beforeEach(async () => {
    seen.length = 0;
    steps = [];
    if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    seen,
    answer: (...given) => {
      steps = given;
    },
  };
}
