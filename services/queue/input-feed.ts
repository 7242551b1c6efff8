import { constants } from 'node:os';
import type { Redis } from '../shared/redis.ts';
import { type Bell, createBells } from './bells.ts';
import type { RedisRoom } from './redis-room.ts';

/*
 * What comes for an interactive invocation while it runs, on its way from the gateway that has its session to the worker that
 * runs it. In two lanes, as a signal does not wait behind stdin that nobody reads:
 *   oncebox:input:<id>           hash: each lane's last number, and the bytes that it holds. Who finds none: it is over
 *   oncebox:input:<id>:<lane>    stream of {d: piece}, by numbers from 1; taken away when the program has it
 *   oncebox:input-news:<id>      channel to the worker: there is more
 *   oncebox:input-room:<id>      channel to the gateway: something was taken, or it is over
 */

/** `stdin`: pieces in their order, and an empty one for its end. `signal`: numbers, as text. */
export const inputLanes = ['stdin', 'signal'] as const;
export type InputLane = (typeof inputLanes)[number];

const feedKey = (id: string) => `oncebox:input:${id}`;
const laneKey = (id: string, lane: InputLane) => `oncebox:input:${id}:${lane}`;
export const inputNewsChannel = (id: string) => `oncebox:input-news:${id}`;
const roomChannel = (id: string) => `oncebox:input-room:${id}`;

/** Of one piece: what is longer is cut. */
const pieceMaxBytes = 32 * 1024;
/** What a lane holds at most, with what each piece costs beside its bytes. */
const laneMaxBytes = { stdin: 256 * 1024, signal: 4 * 1024 };
const overheadBytes = 128;
/** What a writer holds that does not fit into its lane yet: who gives it more does not wait for what he has written. */
const heldMaxBytes = 1024 * 1024;
/** How long it outlives a gateway and a worker that both died. */
const expiresMs = 86_400_000;
/** So often a full lane is looked at, told or not. */
const lookEveryMs = 500;
const piecesAtOnce = 16;

/** KEYS: feed. ARGV: time to live in ms. */
const openScript = `
redis.call('HSETNX', KEYS[1], 'stdin', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[1])`;

/**
 * Adds a piece, once: a client that lost the answer sends it again. KEYS: feed, lane. ARGV: the lane's name, the piece's
 * number, the piece, its cost, what the lane holds at most, time to live in ms, channel of news. Returns `closed`, `full` or
 * `added`.
 */
const addScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 'closed' end
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) >= tonumber(ARGV[2]) then return 'added' end
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1] .. '-held') or 0) + tonumber(ARGV[4])
if held > tonumber(ARGV[5]) then return 'full' end
redis.call('XADD', KEYS[2], ARGV[2] .. '-0', 'd', ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[1] .. '-held', held)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('PUBLISH', ARGV[7], '')
return 'added'`;

/** Takes a piece away, once. KEYS: feed, lane. ARGV: the lane's name, the piece's entry, its cost, channel of room. */
const takeScript = `
if redis.call('XDEL', KEYS[2], ARGV[2]) == 0 then return end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBY', KEYS[1], ARGV[1] .. '-held', '-' .. ARGV[3]) end
redis.call('PUBLISH', ARGV[4], '')`;

const maxSignal = 31;
const standardSignals = new Map<string, number>(
  Object.entries(constants.signals).filter(([, number]) => number <= maxSignal),
);

/** Of a signal that can be sent, by its name, as SIGINT; undefined where there is none. Those of real time are not sent. */
export function signalNumber(name: string): number | undefined {
  return standardSignals.get(name);
}

export function isSignalNumber(number: number): boolean {
  return Number.isInteger(number) && number >= 1 && number <= maxSignal;
}

/** The gateway's side: one for each session. */
interface InputWriter {
  /**
   * Resolves when all of it is on Redis, in the order of the calls, or when the invocation is over, and nobody reads it. Who
   * awaits it goes no faster than the program reads. Rejects with RangeError where more than a mebibyte waits already,
   * and with the error of Redis; then nothing that is written later arrives.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** As `write`. What is written after it is an error. */
  end(): Promise<void>;
  /** Does not wait for stdin. By its number, 1 to 31. As `write`. */
  signal(number: number): Promise<void>;
  /** It is over: takes away what nobody has read. Never rejects. */
  close(): Promise<void>;
}

export interface InputFeed {
  /** To be called before the job is added. */
  open(id: string): Promise<InputWriter>;
  close(): void;
}

export interface InputFeedOptions {
  redis: Redis;
  subscriber: Redis;
  room: RedisRoom;
  onError: (error: unknown) => void;
}

export function createInputFeed({ redis, subscriber, room, onError }: InputFeedOptions): InputFeed {
  const bells = createBells(subscriber, onError);

  return {
    async open(id) {
      await redis.eval(openScript, 1, feedKey(id), expiresMs);
      let isOver = false;
      let isEnded = false;
      let heldBytes = 0;
      const hung = new Set<Bell>();

      /** The lane's pieces, one after the other. A gap would change what the program reads, so an error is the end of it. */
      function createLane(lane: InputLane) {
        let last = 0;
        let written = Promise.resolve();
        return (pieces: readonly Uint8Array[]): Promise<void> => {
          const costs = pieces.map((piece) => piece.length + overheadBytes);
          const bytes = costs.reduce((sum, cost) => sum + cost, 0);
          // The end of stdin always fits.
          if (bytes > overheadBytes && heldBytes + bytes > heldMaxBytes)
            return Promise.reject(new RangeError(`more than ${heldMaxBytes} bytes wait to be read`));
          heldBytes += bytes;
          written = written
            .then(async () => {
              for (const piece of pieces) await add(lane, ++last, piece);
            })
            .finally(() => {
              heldBytes -= bytes;
            });
          written.catch(() => {}); // told to whoever awaits it
          return written;
        };
      }

      async function add(lane: InputLane, number: number, piece: Uint8Array): Promise<void> {
        const cost = piece.length + overheadBytes;
        let bell: Bell | undefined;
        if (!isOver) await room.claim(cost);
        try {
          while (!isOver) {
            const answer = await redis.eval(
              addScript,
              2,
              feedKey(id),
              laneKey(id, lane),
              ...[
                lane,
                number,
                Buffer.from(piece),
                cost,
                laneMaxBytes[lane],
                expiresMs,
                inputNewsChannel(id),
              ],
            );
            if (answer === 'closed') isOver = true;
            if (answer !== 'full') return;
            if (bell) {
              await bell.rung(lookEveryMs);
            } else {
              // What is told between the refusal and this is found by the next try.
              bell = await bells.hang(roomChannel(id));
              hung.add(bell);
            }
          }
        } finally {
          bell?.close();
          if (bell) hung.delete(bell);
        }
      }

      const toStdin = createLane('stdin');
      const toSignals = createLane('signal');
      return {
        async write(bytes) {
          if (isEnded) throw new RangeError('stdin has ended');
          if (bytes.length > 0) await toStdin(cut(bytes));
        },
        async end() {
          if (isEnded) return;
          isEnded = true;
          await toStdin([new Uint8Array()]);
        },
        signal: (number) => toSignals([Buffer.from(`${number}`)]),
        async close() {
          isOver = true;
          for (const bell of hung) bell.ring();
          await closeInput(redis, id).catch(onError);
        },
      };
    },
    close: () => bells.close(),
  };
}

function cut(bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += pieceMaxBytes) pieces.push(bytes.slice(at, at + pieceMaxBytes));
  return pieces;
}

interface InputPiece {
  /** Of the stream's entry. */
  entry: string;
  bytes: Buffer;
}

/** The worker's side: the next pieces after the entry `after`, or the first ones. */
export async function readInput(
  redis: Redis,
  id: string,
  lane: InputLane,
  after: string | undefined,
): Promise<InputPiece[]> {
  const from = after === undefined ? '-' : `(${after}`;
  const entries = await redis.xrangeBuffer(laneKey(id, lane), from, '+', 'COUNT', piecesAtOnce);
  return entries.map(([entry, [, bytes = Buffer.alloc(0)]]) => ({ entry: entry.toString(), bytes }));
}

/** The program has it: there is room for more. */
export async function takeInput(
  redis: Redis,
  id: string,
  lane: InputLane,
  { entry, bytes }: InputPiece,
): Promise<void> {
  const cost = bytes.length + overheadBytes;
  const keys = [feedKey(id), laneKey(id, lane)];
  await redis.eval(takeScript, keys.length, ...keys, lane, entry, cost, roomChannel(id));
}

/** The invocation is over: nothing of its input stays, and who writes more is told so. */
export async function closeInput(redis: Redis, id: string): Promise<void> {
  await redis.del(feedKey(id), ...inputLanes.map((lane) => laneKey(id, lane)));
  await redis.publish(roomChannel(id), '');
}
