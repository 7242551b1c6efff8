import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';
import type { Sample, Workload } from '../../loadtest/workloads/workload.ts';

/** A workload whose answer is right when its body is `right`. */
export const echo: Workload = {
  name: 'echo',
  request: { path: '/echo', headers: { 'content-type': 'text/plain' }, body: 'right' },
  read({ status, headers, body }) {
    if (status !== 200 || body !== 'right') throw new Error(`HTTP ${status}: ${body}`);
    return { start: headers['x-start'] ?? 'none', phaseMs: {} };
  },
};

/** Real HTTP servers on loopback, gone after each test. */
export function useServer(): (listener: RequestListener) => Promise<string> {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });
  return async (listener) => {
    const server = createServer(listener).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
}

export function bodiesOf(samples: readonly Sample[]): (string | undefined)[] {
  return samples.map(({ answer }) => ('reply' in answer ? answer.reply.body : answer.error));
}
