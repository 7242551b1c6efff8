import { Queue } from 'bullmq';
import { expect, test, vi } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { connectRedis } from '../../services/shared/redis.ts';
import { useFaultyPlatform } from '../faults/use-platform.ts';
import { useReceiver } from '../support/receiver.ts';

const receiver = useReceiver();
const used = useFaultyPlatform({ settings: { ONCEBOX_CALLBACK_ALLOW: '127.0.0.0/8' } });

const headers = () => ({
  'content-type': 'application/json',
  prefer: 'respond-async',
  'oncebox-callback': receiver.url(),
});

async function start(code: string): Promise<string> {
  const body = JSON.stringify({ runtime: 'node', code, limits: { wallMs: 600_000 } });
  const response = await fetch(`${used.platform.url}/v1/run`, { method: 'POST', headers: headers(), body });
  expect(response.status).toBe(202);
  return ((await response.json()) as Invocation).id;
}

/** Resolves when each of these is delivered and nothing is left that could be delivered once more. */
async function allDelivered(ids: string[]): Promise<void> {
  const redis = connectRedis(`unix://${used.platform.config.runDir}/redis.sock`);
  const queue = new Queue('callbacks', { connection: redis, prefix: 'oncebox' });
  try {
    await vi.waitFor(
      async () => {
        for (const id of ids) expect((await used.client.invocation(id)).callback?.status).toBe('delivered');
        expect(await redis.zcard('oncebox:callbacks-due')).toBe(0);
        expect(await queue.getJobCountByTypes('active', 'waiting', 'delayed', 'prioritized')).toBe(0);
      },
      { timeout: 120_000, interval: 100 },
    );
  } finally {
    await queue.close();
    redis.disconnect();
  }
}

const delivered = () =>
  receiver.received.map(({ headers }) => String(headers['oncebox-invocation-id'])).sort();
const outcomeOf = (id: string) => {
  const found = receiver.received.find(({ headers }) => headers['oncebox-invocation-id'] === id);
  return (JSON.parse(found?.body ?? '{}') as Invocation).outcome?.status;
};

test('8 asynchronous calls make exactly 8 callbacks, with a worker killed in between', async () => {
  const quick = await Promise.all(Array.from({ length: 3 }, () => start('console.log(1)')));
  const slow = await Promise.all(Array.from({ length: 3 }, () => start('setTimeout(() => {}, 500_000)')));
  await vi.waitFor(
    async () => {
      const running = (await used.client.sandboxes()).sandboxes.map(({ invocationId }) => invocationId);
      for (const id of slow) expect(running).toContain(id);
      // Else they would be lost with the worker, too.
      for (const id of quick) expect((await used.client.invocation(id)).status).toBe('done');
    },
    { timeout: 60_000, interval: 50 },
  );
  used.kill('worker');
  const later = await Promise.all(Array.from({ length: 2 }, () => start('console.log(2)')));
  const all = [...quick, ...slow, ...later];
  await allDelivered(all);
  expect(delivered()).toEqual([...all].sort());
  expect(slow.map(outcomeOf)).toEqual(['lost', 'lost', 'lost']);
  expect([...quick, ...later].map(outcomeOf)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
});

test('a gateway that is killed with callbacks on their way loses none', async () => {
  receiver.answer = () => {};
  const ids = await Promise.all(Array.from({ length: 4 }, () => start('console.log(1)')));
  const countsOf = () => ids.map((id) => delivered().filter((one) => one === id).length);
  await vi.waitFor(() => expect(countsOf()).not.toContain(0), { timeout: 60_000, interval: 20 });
  receiver.answer = undefined;
  const before = countsOf();
  used.kill('gateway');
  await used.serves();
  await allDelivered(ids);
  // None was answered before, so all are sent again, by the same names; what was on its way is counted, too.
  for (const [n, count] of countsOf().entries()) expect(count).toBeGreaterThan(before[n] ?? 0);
  expect(ids.map(outcomeOf)).toEqual(['ok', 'ok', 'ok', 'ok']);
});
