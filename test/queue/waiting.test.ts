import { Worker } from 'bullmq';
import { expect, test } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { type InvocationJob, invocationQueueName, queueKey, queuePrefix } from '../../services/queue/job.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';
import { snippetRequest } from '../support/snippet-request.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_QUEUE_MAX: '10' });

test('a result whose worker died before it told anybody is found in its record', async () => {
  const silent = new Worker<InvocationJob, Invocation>(invocationQueueName, async (job) => finished(job), {
    connection: redis.connect(),
    prefix: queuePrefix,
  });
  gateway.undo.push(() => silent.close());
  const id = newInvocationId();
  const result = await gateway.queue.enqueueAndWait(id, snippetRequest, { timeoutMs: 120_000 });
  expect(result).toMatchObject({ id, outcome: { status: 'ok' } });
});

test('results too large for a subscription arrive, and nobody else who waits is disturbed', async () => {
  const large = 'x'.repeat(34 * 1024 * 1024);
  await gateway.startWorker(async (job) => ({
    ...finished(job),
    ...(job.data.stdin === 'large' && { stdout: large }),
  }));
  const subscribers = async () =>
    String(await redis.redis.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
      .match(/^id=\d+/gm)
      ?.sort(); // who spoke last comes first
  const before = await subscribers();
  const stdins = ['large', '', 'large', ''];
  const all = await Promise.all(
    stdins.map((stdin) =>
      gateway.queue.enqueueAndWait(newInvocationId(), { ...snippetRequest, stdin }, { timeoutMs: 120_000 }),
    ),
  );
  expect(all.map(({ stdout }) => stdout.length > 1024)).toEqual(stdins.map((stdin) => stdin === 'large'));
  expect(all[0]?.stdout).toHaveLength(large.length);
  expect(await subscribers()).toEqual(before);
});

test('who waits for an invocation that Redis has forgotten is told that it is lost', async () => {
  const id = newInvocationId();
  const result = gateway.queue.enqueueAndWait(id, snippetRequest, { timeoutMs: 120_000 });
  await expect.poll(() => gateway.queue.get(id)).toMatchObject({ status: 'queued' });
  await redis.redis.flushall();
  expect(await result).toMatchObject({ id, status: 'failed', outcome: { status: 'lost' } });
});

test('additions at once do not overshoot the bound of the queue', async () => {
  const addMany = async () => {
    const all = Array.from({ length: 50 }, () => gateway.queue.enqueue(newInvocationId(), snippetRequest));
    const refusals = (await Promise.allSettled(all)).flatMap((one) =>
      one.status === 'rejected' ? [one.reason.code] : [],
    );
    return { refusals, waiting: await gateway.queue.waiting() };
  };
  const full = (count: number) => ({ refusals: Array(count).fill('queue_full'), waiting: 10 });
  expect(await addMany()).toEqual(full(40));
  expect(await addMany()).toEqual(full(50));
  await redis.redis.del(queueKey('prioritized'));
  expect(await addMany()).toEqual(full(40));
});

test('a Redis that refuses to write is unavailable, and says why where it does', async () => {
  await redis.redis.config('SET', 'maxmemory', '1');
  try {
    await expect(gateway.queue.enqueue(newInvocationId(), snippetRequest)).rejects.toMatchObject({
      code: 'unavailable',
      message: 'cannot enqueue: the memory of Redis is used up',
      details: { retryAfterSeconds: 1 },
    });
  } finally {
    await redis.redis.config('SET', 'maxmemory', '0');
  }
  await gateway.queue.enqueue(newInvocationId(), snippetRequest);
});
