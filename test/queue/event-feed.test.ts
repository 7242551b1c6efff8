import { expect, test, vi } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { createEventFeed } from '../../services/queue/event-feed.ts';
import { appendEvents, newsChannel } from '../../services/queue/event-stream.ts';
import { lostInvocation } from '../../services/queue/record.ts';
import { useRedis } from '../support/redis.ts';
import { snippetRequest } from '../support/snippet-request.ts';

const redis = useRedis();
const id = 'inv_followed';
const patience = { timeout: 30_000 };

function openFeed(readFinal: () => Promise<Invocation | undefined>) {
  return createEventFeed({
    redis: redis.redis,
    subscriber: redis.connect(),
    readFinal,
    onError: (error) => {
      throw error;
    },
  });
}

const say = (text: string) =>
  appendEvents(redis.redis, { id, tenant: 'default', events: [{ type: 'stdout', text }], keepMs: 60_000 });

async function subscriptions(): Promise<number> {
  const [, count] = (await redis.redis.pubsub('NUMSUB', newsChannel(id))) as [string, number];
  return Number(count);
}

test('who stops and asks for nothing more leaves no subscription', async () => {
  const feed = openFeed(async () => undefined);
  await say('one');
  const stop = new AbortController();
  const events = feed.follow(id, { signal: stop.signal });
  expect((await events.next()).value).toMatchObject({ event: { type: 'stdout', text: 'one' } });
  expect(await subscriptions()).toBe(1);
  stop.abort();
  await vi.waitFor(async () => expect(await subscriptions()).toBe(0), patience);
  expect((await events.next()).done).toBe(true);
  await feed.close();
});

test('who hears of the end leaves no subscription, without asking for what is behind it', async () => {
  const record = lostInvocation(id, snippetRequest, 'it was lost');
  const feed = openFeed(async () => record);
  const events = feed.follow(id);
  expect((await events.next()).value).toMatchObject({ event: { type: 'end', invocation: { id } } });
  await vi.waitFor(async () => expect(await subscriptions()).toBe(0), patience);
  await feed.close();
});
