import { once } from 'node:events';
import { Worker } from 'bullmq';
import { expect, test } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { Priority } from '../../sdk/contract/invocation-options.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { tenantListKey } from '../../services/queue/invocation-list.ts';
import { createInvocationQueue } from '../../services/queue/invocation-queue.ts';
import {
  flowsKey,
  type InvocationJob,
  invocationQueueName,
  queueKey,
  queuePrefix,
} from '../../services/queue/job.ts';
import { giveBack } from '../../services/queue/job-locks.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';
import { snippetRequest } from '../support/snippet-request.ts';

const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_QUEUE_MAX: '200' });

const request = { ...snippetRequest, tenant: 'a' };

/** Adds so many, one after the other; `stdin` names them in what `taken` says. */
async function add(tenant: string, count: number, priority: Priority = 'normal'): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const id = newInvocationId();
    await gateway.queue.enqueue(id, { ...request, tenant, priority, stdin: `${tenant}:${priority}` });
    ids.push(id);
  }
  return ids;
}

/** Takes all that waits, one at a time, and says what came. */
async function taken(): Promise<InvocationJob[]> {
  const came: InvocationJob[] = [];
  const worker = new Worker<InvocationJob, Invocation>(
    invocationQueueName,
    async (job) => {
      came.push(job.data);
      return finished(job);
    },
    { connection: redis.connect(), prefix: queuePrefix, concurrency: 1 },
  );
  gateway.undo.push(() => worker.close());
  await once(worker, 'drained');
  // So that it takes none of what is added next.
  await worker.close();
  return came;
}
const names = (jobs: InvocationJob[]) => jobs.map(({ stdin }) => stdin);
const priorities = async () => {
  const scores = await redis.redis.zrange(queueKey('prioritized'), '0', '-1', 'WITHSCORES');
  return scores.filter((_, at) => at % 2 === 1).map((score) => Math.floor(Number(score) / 2 ** 32));
};

test("another tenant's only call comes right behind the next of a tenant that has many waiting", async () => {
  await add('a', 100);
  await add('b', 1);
  expect(names(await taken()).indexOf('b:normal')).toBeLessThanOrEqual(1);
});

test('tenants that all have many waiting take turns', async () => {
  await add('a', 30);
  await add('b', 10);
  await add('c', 10);
  const first = names(await taken()).slice(0, 27);
  for (const tenant of ['a', 'b', 'c']) {
    const turns = first.filter((name) => name === `${tenant}:normal`).length;
    expect(turns).toBeGreaterThanOrEqual(8);
    expect(turns).toBeLessThanOrEqual(11);
  }
});

test('a higher priority gets more of the turns, and a lower one some', async () => {
  await add('a', 40, 'low');
  await add('a', 40, 'normal');
  await add('a', 40, 'high');
  const first = names(await taken()).slice(0, 40);
  const turns = (priority: Priority) => first.filter((name) => name === `a:${priority}`).length;
  expect(turns('high')).toBeGreaterThan(turns('normal') * 1.5);
  expect(turns('normal')).toBeGreaterThan(turns('low') * 2);
  expect(turns('low')).toBeGreaterThan(0);
});

test('of one flow, who came first goes first', async () => {
  const ids = await add('a', 20);
  const order: string[] = [];
  const worker = new Worker<InvocationJob, Invocation>(
    invocationQueueName,
    async (job) => {
      order.push(job.id ?? '');
      return finished(job);
    },
    { connection: redis.connect(), prefix: queuePrefix, concurrency: 1 },
  );
  gateway.undo.push(() => worker.close());
  await once(worker, 'drained');
  expect(order).toEqual(ids);
});

test('when nothing waits all begin anew', async () => {
  await add('a', 5);
  expect(await priorities()).toEqual([2, 4, 6, 8, 10]);
  await taken();
  await add('b', 1);
  expect(await priorities()).toEqual([2]);
  expect(await redis.redis.hgetall(flowsKey)).toEqual({ 'b/normal': '2', top: '2' });
});

test('tags that have grown large are moved back, and the order stays', async () => {
  const [first = '', ...others] = await add('a', 4);
  const shift = 600_000;
  for (const [at, id] of [first, ...others].entries())
    await redis.redis.zadd(queueKey('prioritized'), (shift + 2 * at) * 2 ** 32 + at, id);
  await redis.redis.hset(flowsKey, 'a/normal', shift + 6, 'top', shift + 6, 'gone/normal', 3);
  const [last = ''] = await add('b', 1);
  expect(await priorities()).toEqual([1, 2, 3, 5, 7]);
  expect(await redis.redis.zrange(queueKey('prioritized'), '0', '-1')).toEqual([first, last, ...others]);
  expect(await redis.redis.hget(queueKey(first), 'priority')).toBe('1');
  expect(await redis.redis.hgetall(flowsKey)).toEqual({ 'a/normal': '7', 'b/normal': '2', top: '7' });
});

test('who fills the queue does not keep another tenant out', async () => {
  await add('a', 200);
  await expect(add('a', 1)).rejects.toMatchObject({ code: 'queue_full' });
  await add('b', 1);
  await expect(add('b', 1)).rejects.toMatchObject({ code: 'queue_full' });
  for (let i = 0; i < 19; i++) await add(`tenant-${i}`, 1);
  // A tenth more, and that is all.
  await expect(add('one-more', 1)).rejects.toMatchObject({ code: 'queue_full' });
  expect(await gateway.queue.waiting()).toBe(220);
});

test('what is refused leaves nothing behind', async () => {
  await add('a', 200);
  const before = (await redis.redis.keys('*')).sort();
  const id = newInvocationId();
  await expect(gateway.queue.enqueue(id, request)).rejects.toMatchObject({ code: 'queue_full' });
  expect((await redis.redis.keys('*')).sort()).toEqual(before);
  expect(await gateway.queue.get(id, 'a')).toBeUndefined();
});

test("a tenant's list names nothing that has long had no record, and goes when the tenant has called nothing for long", async () => {
  const list = tenantListKey('a');
  await redis.redis.zadd(list, Date.now() - 30 * 86_400_000, 'old');
  const [id] = await add('a', 1);
  expect(await redis.redis.zrange(list, '0', '-1')).toEqual([id]);
  expect(await redis.redis.pttl(list)).toBeGreaterThan(86_400_000);
});

test('two gateways together do not overshoot the bound', async () => {
  const other = await createInvocationQueue({
    redis: redis.connect(),
    subscriber: redis.connect(),
    ...{ queueMax: 200, recordsKept: 10, recordsKeptMs: 60_000 },
    onError: (error) => {
      throw error;
    },
  });
  gateway.undo.push(() => other.close());
  const additions = Array.from({ length: 300 }, (_, at) =>
    (at % 2 ? other : gateway.queue).enqueue(newInvocationId(), request),
  );
  const refused = (await Promise.allSettled(additions)).filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(100);
  expect(await gateway.queue.waiting()).toBe(200);
});

test('an id that was added before is not added again, whatever became of it', async () => {
  const [id = ''] = await add('a', 1);
  await gateway.queue.enqueue(id, request);
  expect(await gateway.queue.waiting()).toBe(1);
  await taken();
  await gateway.queue.enqueue(id, request);
  expect(await gateway.queue.waiting()).toBe(0);
  expect(await gateway.queue.get(id, 'a')).toMatchObject({ status: 'done' });
  const [cancelled = ''] = await add('a', 1);
  await gateway.queue.cancel(cancelled, 'a');
  await gateway.queue.enqueue(cancelled, request);
  expect(await gateway.queue.waiting()).toBe(0);
});

test('who cancels what waited gets the turns back', async () => {
  const ids = await add('a', 20);
  for (const id of ids.slice(1)) await gateway.queue.cancel(id, 'a');
  await add('b', 1);
  await add('a', 1);
  expect(names(await taken())).toEqual(['a:normal', 'b:normal', 'a:normal']);
});

test('what a worker gives back goes first, and wakes the others', async () => {
  const [id = ''] = await add('a', 3);
  const token = 'worker:1';
  await redis.redis.zrem(queueKey('prioritized'), id);
  await redis.redis.lpush(queueKey('active'), id);
  await redis.redis.set(`${queueKey(id)}:lock`, token);
  await redis.redis.del(queueKey('marker'));
  expect(await giveBack(redis.redis, id, 'another:1')).toBe(false);
  expect(await giveBack(redis.redis, id, token)).toBe(true);
  expect(await redis.redis.zcard(queueKey('marker'))).toBe(1);
  expect(await gateway.queue.get(id, 'a')).toMatchObject({ status: 'queued' });
  expect(await taken()).toHaveLength(3);
});
