import { Queue, Worker } from 'bullmq';
import { expect, test } from 'vitest';
import { invocationQueueName, queuePrefix } from '../../services/queue/job.ts';
import { jobsOfWorker, retakeLock, succeedWorker } from '../../services/queue/job-locks.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();

/** A worker that takes jobs by hand, as one does that dies with them. */
async function takeJobs(count: number) {
  const connection = redis.connect();
  const options = { connection, prefix: queuePrefix };
  const queue = new Queue(invocationQueueName, options);
  const worker = new Worker(invocationQueueName, null, options);
  const ids: string[] = [];
  for (let number = 0; number < count; number++) {
    await queue.add('invocation', {});
    const job = await worker.getNextJob(`${worker.id}:${number}`);
    ids.push(job?.id ?? '');
  }
  return { queue, worker, ids, close: () => Promise.all([queue.close(), worker.close()]) };
}

test('the jobs of the worker before are given up at once, those of other nodes are not', async () => {
  const [before, elsewhere] = [await takeJobs(2), await takeJobs(1)];
  expect(await succeedWorker(redis.redis, 'here', before.worker.id)).toBe(0);
  expect(await succeedWorker(redis.redis, 'there', elsewhere.worker.id)).toBe(0);
  expect(await succeedWorker(redis.redis, 'here', 'the-next')).toBe(2);
  expect(await elsewhere.worker.backend.moveStalledJobsToWait()).toEqual(expect.arrayContaining(before.ids));
  expect(await jobsOfWorker(redis.redis, elsewhere.worker.id)).toEqual([
    [elsewhere.ids[0], `${elsewhere.worker.id}:0`],
  ]);
  await before.close();
  await elsewhere.close();
});

test('a lock that expired is taken again by who had it, unless the job was given up', async () => {
  const { worker, ids, close } = await takeJobs(1);
  const [id = ''] = ids;
  const token = `${worker.id}:0`;
  const lock = `${queuePrefix}:${invocationQueueName}:${id}:lock`;
  expect(await retakeLock(redis.redis, id, token, 60_000)).toBe('ours');
  await redis.redis.del(lock);
  expect(await retakeLock(redis.redis, id, 'another:0', 60_000)).toBe('ours');
  expect(await retakeLock(redis.redis, id, token, 60_000)).toBe('taken');
  await redis.redis.del(lock);
  // A start on any node says nothing of whose job it is; the next regular check does.
  expect(await succeedWorker(redis.redis, 'here', 'the-next')).toBe(0);
  const stalled = `${queuePrefix}:${invocationQueueName}:stalled`;
  await redis.redis.del(`${stalled}-check`);
  await redis.redis.sadd(stalled, id);
  expect(await worker.backend.moveStalledJobsToWait()).toEqual([id]);
  expect(await retakeLock(redis.redis, id, token, 60_000)).toBe('taken');
  await close();
});
