import { constants } from 'node:os';
import type { Redis } from '../shared/redis.ts';
import { type Bell, createBells } from './bells.ts';
import type { RedisRoom } from './redis-room.ts';

/*
 * What comes for an interactive invocation while it runs, on its way from the gateway that has its session to the worker that
 * runs it. In two lanes, as a signal does not wait behind stdin that nobody reads:
 *   oncebox:input:<id>           hash: whose it is, each lane's last number, the bytes that it holds and whether it has
 *                                ended. Who finds none: it is over
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

/** KEYS: feed. ARGV: tenant, time to live in ms. */
const openScript = `
redis.call('HSET', KEYS[1], 'tenant', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])`;

/** What became of a piece. `gap`: the one before it has not come. */
export type Added = 'added' | 'full' | 'gap' | 'ended' | 'closed';

/**
 * Adds a piece, once: a client that lost the answer sends it again. KEYS: feed, lane. ARGV: the lane's name, the piece's
 * number, or none for the next one, the piece, its cost, what the lane holds at most, time to live in ms, channel of news,
 * tenant. Returns what became of it: `closed` too where it is another tenant's.
 */
const addScript = `
if redis.call('HGET', KEYS[1], 'tenant') ~= ARGV[8] then return 'closed' end
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
local number = tonumber(ARGV[2]) or last + 1
if number <= last then return 'added' end
if redis.call('HEXISTS', KEYS[1], ARGV[1] .. '-ended') == 1 then return 'ended' end
if number > last + 1 then return 'gap' end
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1] .. '-held') or 0) + tonumber(ARGV[4])
if held > tonumber(ARGV[5]) then return 'full' end
redis.call('XADD', KEYS[2], number .. '-0', 'd', ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], number, ARGV[1] .. '-held', held)
if ARGV[3] == '' then redis.call('HSET', KEYS[1], ARGV[1] .. '-ended', 1) end
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
export interface InputWriter {
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
  open(id: string, tenant: string): Promise<InputWriter>;
  /**
   * For whoever has no writer. Waits for room as long as it is told to. Where the feed has a writer too, their numbers
   * clash.
   */
  add(id: string, tenant: string, piece: NumberedPiece, waitMs: number): Promise<Added>;
  close(): void;
}

export interface NumberedPiece {
  lane: InputLane;
  /** From 1. Without one it is the next, and arrives twice when it is sent twice. */
  number?: number;
  bytes: Uint8Array;
}

export interface InputFeedOptions {
  redis: Redis;
  subscriber: Redis;
  room: RedisRoom;
  onError: (error: unknown) => void;
}

export function createInputFeed({ redis, subscriber, room, onError }: InputFeedOptions): InputFeed {
  const bells = createBells(subscriber, onError);

  interface Patience {
    isOver(): boolean;
    /** Those that are rung when it may be over. */
    hung: Set<Bell>;
  }

  async function add(
    id: string,
    tenant: string,
    { lane, number, bytes }: NumberedPiece,
    { isOver, hung }: Patience,
  ): Promise<Added> {
    const cost = bytes.length + overheadBytes;
    let bell: Bell | undefined;
    await room.claim(cost);
    try {
      for (;;) {
        const answer = (await redis.eval(
          addScript,
          2,
          feedKey(id),
          laneKey(id, lane),
          ...[
            lane,
            number ?? '',
            Buffer.from(bytes),
            cost,
            laneMaxBytes[lane],
            expiresMs,
            inputNewsChannel(id),
            tenant,
          ],
        )) as Added;
        if (answer !== 'full' || isOver()) return answer;
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

  return {
    add(id, tenant, piece, waitMs) {
      const untilMs = performance.now() + waitMs;
      return add(id, tenant, piece, { isOver: () => performance.now() >= untilMs, hung: new Set() });
    },
    async open(id, tenant) {
      await redis.eval(openScript, 1, feedKey(id), tenant, expiresMs);
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
              for (const bytes of pieces) {
                if (isOver) return;
                const piece = { lane, number: ++last, bytes };
                const added = await add(id, tenant, piece, { isOver: () => isOver, hung });
                if (added === 'closed') isOver = true;
              }
            })
            .finally(() => {
              heldBytes -= bytes;
            });
          written.catch(() => {}); // told to whoever awaits it
          return written;
        };
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
