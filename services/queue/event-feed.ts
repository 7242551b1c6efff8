import type { InvocationEvent, StageName } from '../../sdk/contract/events.ts';
import type { Invocation, StartKind } from '../../sdk/contract/invocation.ts';
import type { Redis } from '../shared/redis.ts';
import { followChannel, newsChannel, readEvents } from './event-stream.ts';

/** How long a follower waits for news before it looks by itself: what is published to nobody is lost. */
const lookEveryMs = 1_000;
/** How long a worker may take to write what a running invocation has said so far. */
const writtenWithinMs = 500;

export interface NumberedEvent {
  /** Following can go on behind it. */
  eventId: string;
  event: InvocationEvent;
}

interface FollowOptions {
  /** The last event that is known already. */
  after?: string | undefined;
  /** Ends it, without an error. */
  signal?: AbortSignal;
  /** Stops when all is told that there is now. */
  untilNow?: boolean;
  /** Told once, between what there was when the following began and what comes live. */
  onCaughtUp?: () => void;
}

/** The gateway's side of what invocations say while they run. */
export interface EventFeed {
  /**
   * All that the invocation has said and says, and `end` with its record. It reads no faster than it is asked. An
   * invocation that is unknown, or whose record goes away meanwhile, has no `end`.
   */
  follow(id: string, options?: FollowOptions): AsyncGenerator<NumberedEvent, void, void>;
  close(): Promise<void>;
}

export interface EventFeedOptions {
  redis: Redis;
  subscriber: Redis;
  /** The record once it is final; `undefined` before that, and `gone` when there is none. */
  readFinal: (id: string) => Promise<Invocation | 'gone' | undefined>;
  onError: (error: unknown) => void;
}

export const lastEventId = 'end';

export function createEventFeed({ redis, subscriber, readFinal, onError }: EventFeedOptions): EventFeed {
  const listeners = new Map<string, Set<(news: string) => void>>();

  function receive(channel: string, news: string) {
    for (const listener of listeners.get(channel) ?? []) listener(news);
  }
  subscriber.on('message', receive);

  /** Resolves when what is published from now on is heard. */
  async function listen(id: string): Promise<News> {
    const channel = newsChannel(id);
    const news = new News();
    const heard = listeners.get(channel) ?? new Set();
    listeners.set(channel, heard.add(news.hear));
    news.close = () => {
      heard.delete(news.hear);
      if (heard.size > 0 || listeners.get(channel) !== heard) return;
      listeners.delete(channel);
      // A connection that has ended hears nothing.
      if (subscriber.status !== 'end') subscriber.unsubscribe(channel).catch(onError);
    };
    await subscriber.subscribe(channel);
    return news;
  }

  async function* follow(id: string, options: FollowOptions = {}): AsyncGenerator<NumberedEvent, void, void> {
    const { after, signal, untilNow = false, onCaughtUp = () => {} } = options;
    if (after === lastEventId) return;
    let last = after;
    let hasEvents = false;
    let isCaughtUp = false;
    let mayBeOver = true;
    const news = await listen(id);
    // Whoever stops need not ask for more, so what the finally below does may never be done.
    const stop = () => {
      news.hear('stop');
      news.close();
    };
    signal?.addEventListener('abort', stop, { once: true });
    try {
      while (!signal?.aborted) {
        const final = mayBeOver ? await readFinal(id) : undefined;
        // Read after the record: whoever wrote that had written all events.
        for (let found = await readEvents(redis, id, last); found.length > 0; ) {
          hasEvents = true;
          for (const numbered of found) {
            yield numbered;
            last = numbered.eventId;
          }
          if (signal?.aborted) return;
          found = await readEvents(redis, id, last);
        }
        if (final === 'gone') return;
        if (final) {
          if (!hasEvents) yield* eventsOf(final, last);
          if (!isCaughtUp) onCaughtUp();
          news.close(); // as few ask for what is behind the end
          yield { eventId: lastEventId, event: { type: 'end', invocation: final } };
          return;
        }
        if (hasEvents || last !== undefined || isCaughtUp) {
          if (!isCaughtUp) onCaughtUp();
          isCaughtUp = true;
          if (untilNow) return;
        }
        // It is heard by whoever runs it, now or when it is said again.
        if (!hasEvents) await redis.publish(followChannel, id);
        const heard = await news.next(isCaughtUp ? lookEveryMs : writtenWithinMs);
        if (heard === undefined && !isCaughtUp && !hasEvents) {
          onCaughtUp();
          isCaughtUp = true;
          if (untilNow) return;
        }
        mayBeOver = heard !== 'more';
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      news.close();
    }
  }

  return {
    follow,
    async close() {
      subscriber.off('message', receive);
      const channels = [...listeners.keys()];
      listeners.clear();
      if (channels.length > 0) await subscriber.unsubscribe(...channels);
    },
  };
}

/** What was published for one follower, of which only the latest matters, and `end` most. */
class News {
  #heard: string | undefined;
  #wake = () => {};
  close = () => {};

  readonly hear = (news: string): void => {
    if (this.#heard === undefined || this.#heard === 'more') this.#heard = news;
    this.#wake();
  };

  /** Undefined when there was none for so long. */
  async next(withinMs: number): Promise<string | undefined> {
    if (this.#heard === undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const heard = this.#heard;
    this.#heard = undefined;
    return heard;
  }
}

/** Of an invocation that nobody followed, or whose events are gone. Their ids are below those of all streams. */
function* eventsOf(record: Invocation, after: string | undefined): Generator<NumberedEvent> {
  const { id, start, compile } = record;
  const first = compile?.start ?? start;
  const told: (InvocationEvent | undefined)[] = [
    first && { type: 'started', id, start: first },
    ...(compile ? [stageOf('compile', compile.start), ...printedOf(compile), stageOf('run', start)] : []),
    ...printedOf(record),
  ];
  // Who has heard of a stream that is gone finds the whole text in the record.
  const known = after === undefined ? 0 : after.startsWith('0-') ? Number(after.slice(2)) : told.length;
  for (const [index, event] of told.entries())
    if (event && index >= known) yield { eventId: `0-${index + 1}`, event };
}

function stageOf(stage: StageName, start: StartKind | undefined): InvocationEvent | undefined {
  return start && { type: 'stage', stage, start };
}

function printedOf({
  stdout,
  stderr,
}: Pick<Invocation, 'stdout' | 'stderr'>): (InvocationEvent | undefined)[] {
  return [
    stdout === '' ? undefined : { type: 'stdout', text: stdout },
    stderr === '' ? undefined : { type: 'stderr', text: stderr },
  ];
}
