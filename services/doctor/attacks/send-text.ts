import { connect, type Socket } from 'node:net';
import type { Ground } from './ground.ts';

export interface Reply {
  status: number;
  /** Of an error: its code, and the field that it names. */
  code?: string;
  field?: string;
  headers: Headers;
}

/** Sends a body of JSON text, which need not be JSON. */
export async function sendText(
  { url, signal }: Ground,
  method: string,
  path: string,
  body: string | ReadableStream<Uint8Array>,
): Promise<Reply> {
  const headers = { 'content-type': 'application/json' };
  const streamed = typeof body === 'string' ? {} : { duplex: 'half' as const };
  const response = await fetch(url + path, { method, headers, body, signal, ...streamed });
  const text = await response.text();
  const parsed = (text.startsWith('{') ? JSON.parse(text) : {}) as {
    error?: { code: string; field?: string };
  };
  return { status: response.status, headers: response.headers, ...parsed.error };
}

export interface RawReply {
  /** 0 when the connection was closed without a word. */
  status: number;
  text: string;
  ms: number;
}

/** A connection whose bytes are its caller's: resolves with what came back when the server ends it. */
export function rawExchange(
  { url, signal }: Ground,
  send: (socket: Socket) => void,
  withinMs: number,
): Promise<RawReply> {
  const { hostname, port } = new URL(url);
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    const timer = setTimeout(() => socket.destroy(), withinMs);
    const abort = () => socket.destroy();
    signal.addEventListener('abort', abort);
    socket.on('connect', () => send(socket));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {}); // closed by the other side: that is a reply too
    socket.on('close', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      resolve({ status, text, ms: performance.now() - startedAt });
    });
  });
}
