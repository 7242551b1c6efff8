import { parseRecords, type ResultRecord } from '../../runtime/sandbox/result-records.ts';
import type { OutputEvent, ResultChunk, StageName } from '../../sdk/contract/events.ts';
import type { StartKind } from '../../sdk/contract/invocation.ts';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import { appendEvents, eventMaxBytes, newsChannel } from '../queue/event-stream.ts';
import { makeRoom } from '../queue/make-room.ts';
import type { RedisRoom } from '../queue/redis-room.ts';
import { publishStreaming } from '../queue/result-channel.ts';
import type { Redis } from '../shared/redis.ts';
import { createCharacterSplitter, outputText } from './output-text.ts';

/** What a chatty program says within this is written at once, unless it is more than a batch. */
const batchMs = 5;
const batchBytes = 64 * 1024;
/** Of an invocation that nobody follows yet, what is kept for who may. */
const heldMaxBytes = 64 * 1024 * 1024;

/** Of a streamed result, what is asked for at once of the tenant's storage: at first, and at most. */
const grantBytes = { first: 4096, most: 1024 * 1024 };

export interface EventWriterOptions {
  redis: Redis;
  room: RedisRoom;
  /** As long as records. */
  keepMs: number;
  /** Whether so many bytes more of streamed results fit into a tenant's storage. Without: there are no quotas. */
  hasStorage?: (tenant: string, bytes: number) => Promise<boolean>;
  onError: (error: unknown) => void;
}

/** Writes what invocations say while they run, of those that somebody follows. */
export interface EventWriter {
  /**
   * `isFollowed`: from the start. Else what is said is only held, and written when `follow` asks for it, or when there is
   * a streamed result: that is told to `replyTo`.
   */
  open(id: string, options: OpenOptions): EventRecorder;
  follow(id: string): void;
  /** The record of the invocation is written: followers need not wait any longer. */
  recorded(id: string): void;
}

/**
 * What its result channel may stream: of a handler the result, and of one that is asked by HTTP a response. Whatever else runs
 * can write there too, and is no more believed than what it prints.
 */
export type Streams = 'nothing' | 'result' | 'response';

interface OpenOptions {
  isFollowed: boolean;
  replyTo: string;
  streams: Streams;
  tenant: string;
  /** Called once, when the tenant's storage is used up: its result goes no further. */
  onRefused: () => void;
}

interface EventRecorder {
  /** How the invocation has ended, where its result was refused. */
  readonly refused: Outcome | undefined;
  started(start: StartKind): void;
  /** What was said before is of another stage: `truncated` of that one. */
  stage(stage: StageName, start: StartKind, truncated?: TruncatedStreams): void;
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
  /** Records of a streamed result. Resolves when they are written, or cannot be. Never rejects. */
  records(bytes: Uint8Array): Promise<void>;
  /** Resolves when all is written, or cannot be, with how much of its result was streamed. Never rejects. */
  close(truncated: TruncatedStreams): Promise<{ streamedBytes?: number }>;
}

/** Whether a stream's cap cut it. */
interface TruncatedStreams {
  stdout: boolean;
  stderr: boolean;
}

export function createEventWriter(options: EventWriterOptions): EventWriter {
  const recorders = new Map<string, Recorder>();
  const followed = new Set<string>();
  return {
    open(id, opened) {
      const recorder = new Recorder(id, { ...options, ...opened }, () => {
        recorders.delete(id);
        if (recorder.isFollowed) followed.add(id);
      });
      recorders.set(id, recorder);
      if (opened.isFollowed) recorder.follow();
      return recorder;
    },
    follow: (id) => recorders.get(id)?.follow(),
    recorded(id) {
      if (followed.delete(id))
        options.redis.publish(newsChannel(id), 'end').catch((error) => options.onError(error));
    },
  };
}

type Said =
  | { type: 'stdout' | 'stderr'; parts: Buffer[]; length: number }
  | Exclude<OutputEvent, { type: 'stdout' | 'stderr' }>;

type Held =
  | { type: 'stdout' | 'stderr'; bytes: Uint8Array }
  | Exclude<OutputEvent, { type: 'stdout' | 'stderr' }>;

type RecorderOptions = EventWriterOptions & OpenOptions;

class Recorder implements EventRecorder {
  isFollowed = false;
  refused: Outcome | undefined;
  readonly #id: string;
  readonly #options: RecorderOptions;
  readonly #onClosed: () => void;
  #splitters = newSplitters();
  #held: Held[] = [];
  #heldBytes = 0;
  #lastWriteAtMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> | undefined;
  /** Events are missing: those that follow would not be what they seem. The record has it all. */
  #isBroken = false;
  #streamedBytes: number | undefined;
  /** Of records so far, and what the tenant's storage has place for. */
  #recordBytes = 0;
  #grantedBytes = 0;
  /** Records are taken one behind the other. */
  #taking: Promise<void> = Promise.resolve();
  #isMalformed = false;

  constructor(id: string, options: RecorderOptions, onClosed: () => void) {
    this.#id = id;
    this.#options = options;
    this.#onClosed = onClosed;
  }

  started(start: StartKind): void {
    this.#hold({ type: 'started', id: this.#id, start }, 64);
  }

  stage(stage: StageName, start: StartKind, truncated?: TruncatedStreams): void {
    if (truncated) this.#endStreams(truncated);
    this.#hold({ type: 'stage', stage, start }, 64);
  }

  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    this.#hold({ type: stream, bytes }, bytes.length);
  }

  follow(): void {
    this.isFollowed = true;
    this.#write();
  }

  async records(bytes: Uint8Array): Promise<void> {
    if (this.#isMalformed || this.#options.streams === 'nothing') return;
    this.#taking = this.#taking.then(() => this.#take(bytes));
    await this.#taking;
    await this.#writing;
  }

  async #take(bytes: Uint8Array): Promise<void> {
    if (this.#recordBytes + bytes.length > this.#grantedBytes) await this.#askForStorage(bytes.length);
    this.#recordBytes += bytes.length;
    try {
      for (const record of parseRecords(bytes)) this.#holdRecord(record);
    } catch {
      // User code wrote there, so all behind it means nothing.
      this.#isMalformed = true;
    }
    if (this.#streamedBytes !== undefined && !this.isFollowed) this.follow();
  }

  /** In growing steps: what a tenant has stored is added up each time. */
  async #askForStorage(nextBytes: number): Promise<void> {
    const { hasStorage, tenant, onError, onRefused } = this.#options;
    // What came before is stored, and counted as that.
    await this.#writing;
    const before = this.#recordBytes;
    const bytes = Math.max(nextBytes, Math.min(grantBytes.most, Math.max(grantBytes.first, before)));
    const fits = (await hasStorage?.(tenant, bytes).catch(onError)) ?? true;
    if (fits) {
      this.#grantedBytes = before + bytes;
    } else if (this.refused === undefined) {
      this.refused = { status: 'limit_exceeded', limit: 'output', max: before, peak: before };
      this.#give();
      onRefused();
    }
  }

  /** Throws at a head that is out of place. */
  #holdRecord(record: ResultRecord): void {
    const { redis, replyTo, streams, onError } = this.#options;
    const isFirst = this.#streamedBytes === undefined;
    if (record.type === 'head' && !(isFirst && streams === 'response'))
      throw new Error('a response has one head, ahead of its body');
    if (isFirst) {
      this.#streamedBytes = 0;
      publishStreaming(redis, replyTo, this.#id).catch((error) => onError(error));
    }
    if (record.type === 'head') {
      this.#hold(record, sizeOf(record));
      return;
    }
    const bytes = 'text' in record ? Buffer.from(record.text) : Buffer.from(record.base64, 'base64');
    this.#streamedBytes = (this.#streamedBytes ?? 0) + bytes.length;
    for (const piece of 'text' in record ? textPieces(record.text) : bytesPieces(bytes)) {
      const chunk = { type: 'chunk' as const, ...piece };
      this.#hold(chunk, sizeOf(chunk));
    }
  }

  async close(truncated: TruncatedStreams): Promise<{ streamedBytes?: number }> {
    await this.#taking;
    if (this.isFollowed) {
      this.#endStreams(truncated);
      await this.#writing;
    }
    this.#held = [];
    this.#onClosed();
    return this.#streamedBytes === undefined ? {} : { streamedBytes: this.#streamedBytes };
  }

  #endStreams(truncated: TruncatedStreams): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      // A character that the cap cut is left out, as in the record. One that the program never finished is U+FFFD.
      if (!truncated[stream]) this.#hold({ type: stream, bytes: new Uint8Array() }, 0);
    }
  }

  #hold(item: Held, bytes: number): void {
    if (this.#isBroken) return;
    this.#held.push(item);
    this.#heldBytes += bytes;
    if (this.isFollowed) this.#write();
    else if (this.#heldBytes > heldMaxBytes) this.#give();
  }

  #write(): void {
    if (this.#held.length > 0) this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // What is heard in one go is written in one go.
    await new Promise(setImmediate);
    while (this.#held.length > 0) {
      const sinceMs = performance.now() - this.#lastWriteAtMs;
      if (this.#heldBytes < batchBytes && sinceMs < batchMs)
        await new Promise((resolve) => setTimeout(resolve, batchMs - sinceMs));
      const events = this.#nextBatch();
      this.#lastWriteAtMs = performance.now();
      if (events.length > 0) await this.#append(events);
    }
    this.#writing = undefined;
  }

  async #append(events: OutputEvent[]): Promise<void> {
    const { redis, room, keepMs, tenant, onError } = this.#options;
    const appended = { id: this.#id, tenant, events, keepMs };
    const bytes = events.reduce((sum, event) => sum + 128 + sizeOf(event), 0);
    try {
      await room.claimToKeep(bytes, 'write events');
      try {
        await appendEvents(redis, appended);
      } catch (error) {
        // A full Redis aborts the transaction without saying why; nothing of it was done.
        if (!/\b(EXECABORT|OOM)\b/.test(String(error))) throw error;
        await makeRoom(redis);
        await appendEvents(redis, appended);
      }
    } catch (error) {
      onError(error);
      this.#give();
    }
  }

  #give(): void {
    this.#isBroken = true;
    this.#held = [];
    this.#heldBytes = 0;
  }

  /** The next batch: what one stream said in one go is one event. */
  #nextBatch(): OutputEvent[] {
    const said: Said[] = [];
    let taken = 0;
    let at = 0;
    for (; at < this.#held.length && taken < 16 * batchBytes; at++) {
      const item = this.#held[at] as Held;
      if (!('bytes' in item)) {
        // Of a character that the cap cut, nothing goes into the next stage.
        if (item.type === 'stage') this.#splitters = newSplitters();
        said.push(item);
        taken += sizeOf(item);
        continue;
      }
      taken += item.bytes.length;
      const splitter = this.#splitters[item.type];
      const bytes = item.bytes.length > 0 ? splitter.push(item.bytes) : splitter.end();
      const previous = said.at(-1);
      const isLonger = previous?.type === item.type && previous.length + bytes.length <= eventMaxBytes / 4;
      if (isLonger) {
        previous.parts.push(bytes);
        previous.length += bytes.length;
      } else if (bytes.length > 0) said.push({ type: item.type, parts: [bytes], length: bytes.length });
    }
    this.#held.splice(0, at);
    this.#heldBytes = Math.max(0, this.#heldBytes - taken);
    return said.map((item) =>
      'parts' in item ? { type: item.type, ...outputText(Buffer.concat(item.parts)) } : item,
    );
  }
}

/** Whole characters each. */
function* textPieces(text: string): Generator<ResultChunk> {
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + eventMaxBytes / 4, text.length);
    if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1] as string)) end -= 1;
    yield { text: text.slice(at, end) };
    at = end;
  }
}

function* bytesPieces(bytes: Buffer): Generator<ResultChunk> {
  const pieceBytes = (eventMaxBytes / 4) * 3;
  for (let at = 0; at < bytes.length; at += pieceBytes)
    yield { base64: bytes.subarray(at, at + pieceBytes).toString('base64') };
}

function newSplitters() {
  return { stdout: createCharacterSplitter(), stderr: createCharacterSplitter() };
}

function sizeOf(event: OutputEvent): number {
  if (event.type === 'started' || event.type === 'stage') return 256;
  if (event.type === 'head') return Buffer.byteLength(JSON.stringify(event));
  const textBytes = 'text' in event ? Buffer.byteLength(event.text) : 0;
  return textBytes + ('base64' in event ? (event.base64?.length ?? 0) : 0);
}
