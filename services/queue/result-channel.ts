import { randomUUID } from 'node:crypto';
import { type Invocation, invocationSchema } from '../../sdk/contract/invocation.ts';
import type { Redis } from '../shared/redis.ts';

/** Tells the gateway that waits on `replyTo` how the invocation ended. Nobody waiting is not an error. */
export async function publishResult(redis: Redis, replyTo: string, invocation: Invocation): Promise<void> {
  await redis.publish(replyTo, JSON.stringify(invocation));
}

export interface ResultChannel {
  /** The channel's name, for jobs. */
  readonly replyTo: string;
  /** To be called before the job is added, or a quick result finds nobody waiting. */
  expect(id: string): ExpectedResult;
  close(): Promise<void>;
}

interface ExpectedResult {
  /** Resolves with the finished invocation. Never rejects. */
  readonly arrived: Promise<Invocation>;
  /** Stops waiting. */
  forget(): void;
}

/**
 * Opens this process's channel for results. Pub/sub keeps nothing for an absent subscriber, so after each
 * reconnect `readFinished` is asked about all that is still expected.
 */
export async function openResultChannel(
  subscriber: Redis,
  readFinished: (id: string) => Promise<Invocation | undefined>,
  onError: (error: unknown) => void,
): Promise<ResultChannel> {
  const replyTo = `oncebox:results:${randomUUID()}`;
  const expected = new Map<string, (invocation: Invocation) => void>();

  function settle(invocation: Invocation) {
    expected.get(invocation.id)?.(invocation);
    expected.delete(invocation.id);
  }

  function receive(channel: string, message: string) {
    if (channel !== replyTo) return;
    try {
      settle(invocationSchema.parse(JSON.parse(message)));
    } catch (error) {
      onError(error);
    }
  }

  async function catchUp() {
    try {
      // Answered only once the channel is subscribed again: what finishes later is published to us.
      await subscriber.subscribe(replyTo);
      for (const id of [...expected.keys()]) {
        const finished = await readFinished(id);
        if (finished) settle(finished);
      }
    } catch (error) {
      onError(error);
    }
  }

  subscriber.on('message', receive);
  await subscriber.subscribe(replyTo);
  subscriber.on('ready', catchUp);

  return {
    replyTo,
    expect(id) {
      const arrived = new Promise<Invocation>((resolve) => expected.set(id, resolve));
      return { arrived, forget: () => expected.delete(id) };
    },
    async close() {
      subscriber.off('message', receive);
      subscriber.off('ready', catchUp);
      await subscriber.unsubscribe(replyTo);
    },
  };
}
