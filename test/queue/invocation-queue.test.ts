import { expect, test } from 'vitest';
import { isInvocationId, newInvocationId } from '../../services/queue/invocation-id.ts';
import { cancelledInvocation } from '../../services/queue/record.ts';
import { openResultChannel, publishResult } from '../../services/queue/result-channel.ts';
import { PlatformError } from '../../services/shared/platform-error.ts';
import { finished, gate, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';
import { snippetRequest } from '../support/snippet-request.ts';

const redis = useRedis();
const gateway = useGateway(redis);

test('ids are 128 bits, well formed and never the same', () => {
  const ids = Array.from({ length: 1000 }, newInvocationId);
  expect(new Set(ids).size).toBe(1000);
  expect(ids.every(isInvocationId)).toBe(true);
});

test('many invocations at once each get their own result', async () => {
  await gateway.startWorker(async (job) => finished(job, { stdout: job.data.stdin }));
  const stdouts = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const options = { timeoutMs: 120_000 };
      const asked = { ...snippetRequest, stdin: String(index) };
      return (await gateway.queue.enqueueAndWait(newInvocationId(), asked, options)).stdout;
    }),
  );
  expect(stdouts).toEqual(Array.from({ length: 200 }, (_, index) => String(index)));
});

test('a wait that takes too long says so, names the invocation and leaves it queued', async () => {
  const id = newInvocationId();
  const error = await gateway.queue
    .enqueueAndWait(id, snippetRequest, { timeoutMs: 20 })
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(PlatformError);
  expect(error).toMatchObject({ code: 'result_pending', details: { invocationId: id } });
  expect(await gateway.queue.get(id)).toMatchObject({ id, status: 'queued' });
});

test('a cancel and a worker never both get an invocation', async () => {
  const ran = new Set<string>();
  await gateway.startWorker(async (job) => {
    ran.add(job.id ?? '');
    return finished(job);
  });
  const ids = Array.from({ length: 100 }, newInvocationId);
  await Promise.all(
    ids.map(async (id) => {
      const result = gateway.queue.enqueueAndWait(id, snippetRequest, { timeoutMs: 120_000 });
      const cancelled = await gateway.queue.cancel(id);
      const wasCancelled = (await result).outcome?.status === 'cancelled';
      expect(wasCancelled).toBe(!ran.has(id));
      if (cancelled?.outcome?.status === 'cancelled') expect(ran.has(id)).toBe(false);
    }),
  );
});

test('a result that was published while the connection was down is read when it is back', async () => {
  const subscriber = redis.connect();
  const finishedMeanwhile = new Map<string, ReturnType<typeof cancelledInvocation>>();
  const channel = await openResultChannel({
    subscriber,
    readEnded: async () => [...finishedMeanwhile],
    onError: (error) => {
      throw error;
    },
  });
  const id = newInvocationId();
  const expected = channel.expect(id);
  expected.added();
  const back = gate();
  subscriber.once('close', () => finishedMeanwhile.set(id, cancelledInvocation(id, snippetRequest)));
  subscriber.once('ready', back.open);
  await redis.redis.client('KILL', 'TYPE', 'PUBSUB');
  await back.opened;
  expect(await expected.arrived).toMatchObject({ id, outcome: { status: 'cancelled' } });

  const later = channel.expect('inv_later');
  await publishResult(redis.redis, channel.replyTo, cancelledInvocation('inv_later', snippetRequest));
  expect(await later.arrived).toMatchObject({ id: 'inv_later' });
  await channel.close();
});
