import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { Redis } from '../shared/redis.ts';
import { storedInvocationSchema } from './record.ts';

/** Redis cuts a subscriber off for whom more than 32 MiB are on their way, and all who wait there with it. */
const publishedMaxBytes = 1024 * 1024;
/** In the place of a result that is larger: its record is to be read. */
const noticeSchema = z.strictObject({ recordOf: z.string() });
/** Ahead of the result: it is being streamed, as events. */
const streamingSchema = z.strictObject({ streamOf: z.string() });

/**
 * Tells the gateway that waits on `replyTo` how the invocation ended, whose record is written. Nobody waiting is not an
 * error.
 */
export async function publishResult(redis: Redis, replyTo: string, invocation: Invocation): Promise<void> {
  const text = JSON.stringify(invocation);
  const notice: z.infer<typeof noticeSchema> = { recordOf: invocation.id };
  const isLarge = Buffer.byteLength(text) > publishedMaxBytes;
  await redis.publish(replyTo, isLarge ? JSON.stringify(notice) : text);
}

/** Tells the gateway that waits on `replyTo` that the invocation streams its result. */
export async function publishStreaming(redis: Redis, replyTo: string, id: string): Promise<void> {
  const notice: z.infer<typeof streamingSchema> = { streamOf: id };
  await redis.publish(replyTo, JSON.stringify(notice));
}

/** How often the records are looked at of those who still wait, and how soon again when Redis did not answer. */
const lookEveryMs = 2_000;
const lookAgainMs = 250;

export interface ResultChannel {
  /** The channel's name, for jobs. */
  readonly replyTo: string;
  /** To be called before the job is added, or a quick result finds nobody waiting. */
  expect(id: string, onStreaming?: () => void): ExpectedResult;
  close(): Promise<void>;
}

interface ExpectedResult {
  /** Resolves with the finished invocation. Never rejects. */
  readonly arrived: Promise<Invocation>;
  /** The job has been added: from now on its record is looked at, too. */
  added(): void;
  /** Stops waiting. */
  forget(): void;
}

export interface ResultChannelOptions {
  subscriber: Redis;
  /** Of these ids, those that have ended, each with how; undefined where that is not known any more. */
  readEnded: (ids: readonly string[]) => Promise<(readonly [string, Invocation | undefined])[]>;
  onError: (error: unknown) => void;
}

interface Waiting {
  settle: (invocation: Invocation) => void;
  onStreaming: () => void;
  /** Undefined before the job was added. */
  addedAtMs?: number;
  /** When there was neither a job nor a record for the first time. */
  missedAtMs?: number;
}

/**
 * Opens this process's channel for results. Pub/sub keeps nothing: what is published while we are not subscribed is gone,
 * and a worker that dies after it wrote the record publishes nothing. So after each reconnect, and every two seconds, the
 * records of those are read who still wait.
 */
export async function openResultChannel(options: ResultChannelOptions): Promise<ResultChannel> {
  const { subscriber, readEnded, onError } = options;
  const replyTo = `oncebox:results:${randomUUID()}`;
  /** Several may wait for one, who sent the same request again. */
  const expected = new Map<string, Set<Waiting>>();
  const closed = new AbortController();

  function settle(invocation: Invocation) {
    for (const waiting of expected.get(invocation.id) ?? []) waiting.settle(invocation);
    expected.delete(invocation.id);
  }

  function receive(channel: string, message: string) {
    if (channel !== replyTo) return;
    try {
      const said: unknown = JSON.parse(message);
      const notice = noticeSchema.safeParse(said);
      const streaming = streamingSchema.safeParse(said);
      if (streaming.success) {
        for (const waiting of expected.get(streaming.data.streamOf) ?? []) waiting.onStreaming();
      } else if (notice.success) void readRecord(notice.data.recordOf);
      else settle(storedInvocationSchema.parse(said));
    } catch (error) {
      onError(error);
    }
  }

  async function readRecord(id: string) {
    if (!expected.has(id)) return;
    try {
      for (const [, ended] of await readEnded([id])) if (ended) settle(ended);
    } catch (error) {
      // The regular look reads it again.
      onError(error);
    }
  }

  /** Not at once: where few records are kept, one can be gone while its result is on its way to us. */
  function miss(id: string) {
    for (const waiting of expected.get(id) ?? []) {
      waiting.missedAtMs ??= performance.now();
      if (performance.now() - waiting.missedAtMs >= lookEveryMs / 2) return settle(forgotten(id));
    }
  }

  /** Those whose job was added before `beforeMs`. */
  async function look(beforeMs: number) {
    const isOld = ({ addedAtMs = Number.POSITIVE_INFINITY }: Waiting) => addedAtMs <= beforeMs;
    const ids = [...expected].flatMap(([id, all]) => ([...all].some(isOld) ? [id] : []));
    if (ids.length === 0) return;
    for (const [id, ended] of await readEnded(ids)) {
      if (ended) settle(ended);
      else miss(id);
    }
  }

  async function lookRegularly() {
    for (let pauseMs = lookEveryMs; await pause(pauseMs); ) {
      try {
        await look(performance.now() - lookEveryMs);
        pauseMs = lookEveryMs;
      } catch (error) {
        onError(error);
        pauseMs = lookAgainMs;
      }
    }
  }

  async function catchUp() {
    try {
      // Answered only once the channel is subscribed again: what finishes later is published to us.
      await subscriber.subscribe(replyTo);
      await look(performance.now());
    } catch (error) {
      // The regular look finds what this one missed.
      onError(error);
    }
  }

  const pause = (ms: number) => delay(ms, true, { signal: closed.signal, ref: false }).catch(() => false);

  subscriber.on('message', receive);
  await subscriber.subscribe(replyTo);
  subscriber.on('ready', catchUp);
  void lookRegularly();

  return {
    replyTo,
    expect(id, onStreaming = () => {}) {
      const waiting: Waiting = { settle: () => {}, onStreaming };
      const arrived = new Promise<Invocation>((resolve) => {
        waiting.settle = resolve;
      });
      const all = expected.get(id) ?? new Set();
      expected.set(id, all.add(waiting));
      return {
        arrived,
        added() {
          waiting.addedAtMs = performance.now();
        },
        forget() {
          all.delete(waiting);
          if (all.size === 0 && expected.get(id) === all) expected.delete(id);
        },
      };
    },
    async close() {
      closed.abort();
      subscriber.off('message', receive);
      subscriber.off('ready', catchUp);
      await subscriber.unsubscribe(replyTo);
    },
  };
}

/** Its record is gone: so many have ended since, or Redis came back without it. */
export function forgotten(id: string): Invocation {
  const reason = 'nothing is known of it any more: its record was dropped, or Redis lost it';
  return {
    id,
    status: 'failed',
    outcome: { status: 'lost', reason },
    stdout: '',
    stderr: '',
    stdoutTruncated: false,
    stderrTruncated: false,
  };
}
