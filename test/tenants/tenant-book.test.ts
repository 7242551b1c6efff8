import { afterEach, expect, test, vi } from 'vitest';
import { openTenantBook } from '../../services/tenants/tenant-book.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
});

async function openBook() {
  const book = await openTenantBook({
    redis: redis.redis,
    subscriber: redis.connect(),
    onError: (error) => {
      throw error;
    },
  });
  undo.push(() => book.close());
  return book;
}

test('the first other tenant makes the platform a shared one, here at once and elsewhere as soon as they hear', async () => {
  const here = await openBook();
  // Its timer never fires: it is read again when it is told, and only then.
  vi.useFakeTimers({ toFake: ['setInterval'] });
  undo.push(() => vi.useRealTimers());
  const there = await openBook();
  vi.useRealTimers();
  await here.ensure('default');
  expect(here.isShared()).toBe(false);
  await here.ensure('acme');
  expect(here.isShared()).toBe(true);
  await vi.waitFor(() => expect(there.isShared()).toBe(true), { timeout: 60_000, interval: 10 });
});

test('a tenant that is named again keeps its quotas', async () => {
  const book = await openBook();
  await book.put({ name: 'acme', quotas: { concurrency: 3 } });
  await book.ensure('acme');
  expect(book.quotasOf('acme')).toEqual({ concurrency: 3 });
});
