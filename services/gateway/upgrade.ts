import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * The response to a request that wants to become a websocket. A route either takes the connection over, or answers as any
 * other does, and then it is closed.
 */
export class UpgradeResponse extends ServerResponse {
  readonly #socket: Duplex;
  readonly #head: Buffer;

  constructor(request: IncomingMessage, head: Buffer) {
    super(request);
    this.#socket = request.socket;
    this.#head = head;
    this.shouldKeepAlive = false;
    this.assignSocket(request.socket);
    this.once('finish', () => request.socket.end());
  }

  /** The connection, and what has come behind the request. Nothing can be answered afterwards. */
  takeOver(): { socket: Duplex; head: Buffer } {
    this.detachSocket(this.req.socket);
    return { socket: this.#socket, head: this.#head };
  }
}

/**
 * Has requests for a websocket answered by the listener of all others, so that all that holds for those holds for these.
 * Other upgrades are ignored, as RFC 9110 (7.8) has it: HTTP clients of the JDK offer HTTP/2 with every request.
 */
export function serveUpgrades(server: Server, listener: RequestListener): UpgradedConnections {
  const sockets = new Set<Duplex>();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // An answer is still to come to what was sent before, and only one response can have the connection.
    if ((socket as { _httpMessage?: ServerResponse })._httpMessage) return void socket.destroy();
    if (!isWebsocket(request)) return serveWithoutUpgrade(server, request, head);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // It may end at any time, and whoever reads it hears of that by its close.
    socket.on('error', () => socket.destroy());
    listener(request, new UpgradeResponse(request, head));
  });
  return {
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

export interface UpgradedConnections {
  /** Ends all: the server counts them, and does not know them. */
  cut(): void;
}

function isWebsocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.trim().toLowerCase() === 'websocket';
}

/** Node asks nobody before it stops parsing (from version 24.9 on it does), so it is made to begin anew, without the offer. */
function serveWithoutUpgrade(server: Server, request: IncomingMessage, head: Buffer): void {
  const { socket, method, url, httpVersion, rawHeaders } = request;
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (!/^(upgrade|http2-settings)$/i.test(name)) lines.push(`${name}: ${rawHeaders[at + 1]}`);
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}
