import { constants } from 'node:os';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import type { LanguageInfo } from '../../../sdk/contract/language.ts';
import type { Logger } from '../../shared/logger.ts';
import { parseJson, wellFormed } from '../read-body.ts';
import type { Session } from '../session.ts';
import { refuse } from './errors.ts';
import { storyOf } from './story.ts';

/** Close codes and their reasons, as Piston's clients know them. */
const closes = {
  alreadyInitialized: [4000, 'Already Initialized'],
  initTimeout: [4001, 'Initialization Timeout'],
  notified: [4002, 'Notified Error'],
  notInitialized: [4003, 'Not yet initialized'],
  onlyStdin: [4004, 'Can only write to stdin'],
  badSignal: [4005, 'Invalid signal'],
  completed: [4999, 'Job Completed'],
} as const;

/** How long a client has to say what is to be run, in parts: of a time in which we stand still one at most is over. */
const initPartMs = 100;
const initParts = 10;
/** So often a client is asked whether it is there; who misses that twice is gone. */
const pingMs = 15_000;
/** What of stdin goes into one write. */
const pieceBytes = 64 * 1024;
/** What a message costs us beside its text. */
const messageBytes = 256;

export interface Started {
  language: LanguageInfo;
  session: Session;
}

export interface ConversationOptions {
  /** Checks and enqueues. Rejects with what the client is told. */
  start(message: unknown): Promise<Started>;
  messageOf(error: unknown): string;
  /** What may wait here for a program that does not read. */
  stdinMaxBytes: number;
  logger: Logger;
  pingMs?: number;
}

const messageSchema = z.record(z.string(), z.unknown());

/** One client's websocket from its opening on: `init`, then stdin and signals in, output out. When it goes, the job ends. */
export function converse(websocket: WebSocket, options: ConversationOptions): void {
  const { logger } = options;
  let starting: Promise<Started> | undefined;
  let isOver = false;
  let hasFailed = false;
  const close = ([code, reason]: readonly [number, string]) => websocket.close(code, reason);
  const send = (message: object) =>
    new Promise<void>((resolve) => {
      // Not before the client's connection has taken it: whoever reads slowly is read for slowly.
      websocket.send(JSON.stringify(message), () => resolve());
    });
  const fail = async (error: unknown) => {
    // A start that is refused takes along all that waits for it: the client is told once.
    if (hasFailed) return;
    hasFailed = true;
    // The reason of a close has room for 123 bytes.
    await send({ type: 'error', message: options.messageOf(error) });
    close(closes.notified);
  };
  const stdin = stdinOf(options.stdinMaxBytes, fail);

  function receive(text: string): void {
    const message = parseMessage(text);
    switch (message.type) {
      case 'init':
        if (starting) close(closes.alreadyInitialized);
        else begin(message);
        break;
      case 'data':
        if (!starting) close(closes.notInitialized);
        else if (message.stream !== 'stdin') close(closes.onlyStdin);
        else stdin(starting, String(message.data ?? ''));
        break;
      case 'signal':
        if (!starting) close(closes.notInitialized);
        else if (!isSignal(message.signal)) close(closes.badSignal);
        else signal(starting, message.signal);
        break;
    }
  }

  function begin(message: unknown): void {
    clearInterval(initTimer);
    starting = options.start(message);
    tell(starting).catch(fail);
  }

  function signal(started: Promise<Started>, name: string): void {
    started.then(({ session }) => session.signal(name)).catch(fail);
  }

  async function tell(started: Promise<Started>): Promise<void> {
    const { language, session } = await started;
    await send({ type: 'runtime', language: language.name, version: language.version });
    for await (const message of storyOf(session.events, language)) await send(message);
    isOver = true;
    close(closes.completed);
  }

  let partsLeft = initParts;
  const initTimer = setInterval(() => {
    partsLeft -= 1;
    if (partsLeft > 0) return;
    clearInterval(initTimer);
    close(closes.initTimeout);
  }, initPartMs);
  const stopPinging = keepAsking(websocket, options.pingMs ?? pingMs);
  websocket.on('message', (data) => {
    try {
      receive(data.toString());
    } catch (error) {
      void fail(error);
    }
  });
  // Its close follows.
  websocket.on('error', (error) => logger.debug({ err: error }, 'websocket failed'));
  websocket.once('close', () => {
    clearInterval(initTimer);
    stopPinging();
    if (isOver) return;
    starting
      ?.then(({ session }) => session.cancel())
      .catch((error) => logger.debug({ err: error }, 'nothing to cancel'));
  });
}

function parseMessage(text: string): z.infer<typeof messageSchema> {
  const parsed = messageSchema.safeParse(wellFormed(parseJson(text), text));
  return parsed.success ? parsed.data : refuse('a message must be a JSON object');
}

function isSignal(name: unknown): name is string {
  return typeof name === 'string' && Object.hasOwn(constants.signals, name);
}

/** Writes pieces of stdin one after the other, as the program reads them. */
function stdinOf(
  maxBytes: number,
  fail: (error: unknown) => Promise<void>,
): (starting: Promise<Started>, text: string) => void {
  let waitingBytes = 0;
  let written: Promise<unknown> = Promise.resolve();
  return (starting, text) => {
    const bytes = Buffer.from(text);
    const costBytes = messageBytes + bytes.length;
    if (waitingBytes + costBytes > maxBytes) refuse('the program does not read its stdin');
    waitingBytes += costBytes;
    written = written
      .then(async () => {
        const { session } = await starting;
        for (let at = 0; at < bytes.length; at += pieceBytes)
          await session.write(bytes.subarray(at, at + pieceBytes));
        waitingBytes -= costBytes;
      })
      .catch(fail);
  };
}

function keepAsking(websocket: WebSocket, everyMs: number): () => void {
  let unanswered = 0;
  websocket.on('pong', () => {
    unanswered = 0;
  });
  const timer = setInterval(() => {
    if (unanswered >= 2) return websocket.terminate();
    unanswered += 1;
    websocket.ping();
  }, everyMs).unref();
  return () => clearInterval(timer);
}
