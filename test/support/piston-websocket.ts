import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import WebSocket from 'ws';

interface PistonMessage {
  type: 'runtime' | 'stage' | 'data' | 'exit' | 'error';
  [field: string]: unknown;
}

export interface PistonConversation {
  websocket: WebSocket;
  /** All that was said so far. */
  messages: PistonMessage[];
  say(message: unknown): void;
  /** What was printed so far. */
  printed(stream?: 'stdout' | 'stderr'): string;
  /** Resolves once it is closed. */
  end(): Promise<{ messages: PistonMessage[]; code: number; reason: string }>;
}

/** A client of Piston's websocket, which is gone when the test is over. */
export async function connectPiston(port: number, path = '/api/v2/connect'): Promise<PistonConversation> {
  const websocket = new WebSocket(`ws://localhost:${port}${path}`);
  const messages: PistonMessage[] = [];
  websocket.on('message', (data) => messages.push(JSON.parse(data.toString())));
  const closed = once(websocket, 'close');
  await once(websocket, 'open');
  onTestFinished(() => websocket.terminate());
  return {
    websocket,
    messages,
    say: (message) => websocket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    printed: (stream = 'stdout') =>
      messages.map((message) => (message.stream === stream ? message.data : '')).join(''),
    async end() {
      const [code, reason] = await closed;
      return { messages, code, reason: reason.toString() };
    },
  };
}
