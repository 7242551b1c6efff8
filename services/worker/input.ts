import { setTimeout as delay } from 'node:timers/promises';
import { OpenInput } from '../../runtime/sandbox/open-input.ts';
import { createBells } from '../queue/bells.ts';
import {
  closeInput,
  type InputLane,
  inputNewsChannel,
  isSignalNumber,
  readInput,
  takeInput,
} from '../queue/input-feed.ts';
import type { Redis } from '../shared/redis.ts';

/** So often a feed is looked at, told or not. */
const lookEveryMs = 1_000;
const retryMs = 250;

/** The worker's side of what interactive invocations are told while they run. */
export interface Inputs {
  /** To be called when its program is about to be run. What the program has not taken stays on Redis. */
  open(id: string): RunningInput;
  close(): void;
}

export interface RunningInput {
  /** For the run. */
  readonly input: OpenInput;
  /** Of an invocation that is over nothing stays; one that goes back to the queue has its input still. Never rejects. */
  close(isOver: boolean): Promise<void>;
}

export interface InputsOptions {
  redis: Redis;
  subscriber: Redis;
  onError: (error: unknown) => void;
}

export function createInputs({ redis, subscriber, onError }: InputsOptions): Inputs {
  const bells = createBells(subscriber, onError);

  return {
    open(id) {
      const input = new OpenInput();
      const over = new AbortController();
      const { signal } = over;

      /** Undefined when it is over first. */
      async function persist<T>(task: () => Promise<T>): Promise<T | undefined> {
        while (!signal.aborted) {
          try {
            return await task();
          } catch (error) {
            onError(error);
            await delay(retryMs);
          }
        }
        return undefined;
      }

      /** In order, and no more of a lane at once than one read brings: the rest stays on Redis, which is what bounds it. */
      async function pump(lane: InputLane, give: (bytes: Buffer) => Promise<void> | void): Promise<void> {
        const bell = await bells.hang(inputNewsChannel(id));
        const ring = () => bell.ring();
        signal.addEventListener('abort', ring, { once: true });
        try {
          for (let last: string | undefined; !signal.aborted; ) {
            const after = last;
            const pieces = (await persist(() => readInput(redis, id, lane, after))) ?? [];
            for (const piece of pieces) {
              await give(piece.bytes);
              if (signal.aborted) return;
              last = piece.entry;
              await persist(() => takeInput(redis, id, lane, piece));
            }
            if (pieces.length === 0) await bell.rung(lookEveryMs);
          }
        } finally {
          signal.removeEventListener('abort', ring);
          bell.close();
        }
      }

      const pumps = Promise.all([
        pump('stdin', (bytes) => (bytes.length === 0 ? input.end() : input.write(bytes))),
        pump('signal', (bytes) => {
          const number = Number(bytes.toString());
          if (isSignalNumber(number)) return input.signal(number);
        }),
      ]).catch(onError);

      return {
        input,
        async close(isOver) {
          over.abort();
          input.close();
          await pumps;
          if (isOver) await closeInput(redis, id).catch(onError);
        },
      };
    },
    close: () => bells.close(),
  };
}
