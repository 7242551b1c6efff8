import { expect, test } from 'vitest';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { claimWaiting } from '../../services/queue/cancel-waiting.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import type { InvocationRequest } from '../../services/queue/invocation-queue.ts';
import { type InvocationJob, queueKey } from '../../services/queue/job.ts';
import { cancelledInvocation } from '../../services/queue/record.ts';
import { sweepSlots } from '../../services/queue/slots.ts';
import { functionHashKey } from '../../services/registry/settings.ts';
import { createUsageLedger } from '../../services/tenants/usage-ledger.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

const request: InvocationRequest = {
  tenant: 'default',
  runtime: 'node',
  function: { name: 'f', version: 1, digest: 'sha256:f' },
  program: { kind: 'handler', handler: 'index.handler', eventJson: '{}', context: {}, env: {} } as never,
  stdin: '',
  limits: defaultLimits(),
};

/** All that a gateway does which is killed right after the cancel was decided. */
async function cancelAndDie(id: string) {
  const job: InvocationJob = { ...request, replyTo: '' };
  const record = cancelledInvocation(id, job);
  expect(await claimWaiting(redis.redis, { job, record, kept: 10, keptMs: 60_000 })).toBe(true);
}

test('a gateway that is killed while it cancels leaves no slot, no place and no end untold', async () => {
  const cap = JSON.stringify({ concurrency: 1 });
  await redis.redis.hset(functionHashKey('default', 'f'), 'settings', cap);
  const [first, second] = [newInvocationId(), newInvocationId()];
  const ledger = createUsageLedger(redis.redis);
  await ledger.claim('default', first, { concurrency: 10 });
  for (const id of [first, second]) await gateway.queue.enqueue(id, request);
  expect(await redis.redis.zcard(queueKey('prioritized'))).toBe(1);

  await cancelAndDie(first);
  await sweepSlots(redis.redis);
  expect(await redis.redis.zrange(queueKey('prioritized'), '0', '-1')).toEqual([second]);
  await ledger.settle('default', first);
  expect(await ledger.concurrency('default')).toBe(0);
  const cancelled = { id: first, status: 'done', outcome: { status: 'cancelled' } };
  expect(await gateway.queue.ended([first])).toMatchObject([[first, cancelled]]);
  expect(await gateway.queue.get(first)).toMatchObject(cancelled);
});

test('what is cancelled leaves nothing of its job, wherever it waited', async () => {
  const cap = JSON.stringify({ concurrency: 1 });
  await redis.redis.hset(functionHashKey('default', 'f'), 'settings', cap);
  const ids = [newInvocationId(), newInvocationId(), newInvocationId()];
  for (const id of ids) await gateway.queue.enqueue(id, request);
  for (const id of ids.toReversed())
    expect(await gateway.queue.cancel(id)).toMatchObject({ outcome: { status: 'cancelled' } });
  expect(await gateway.queue.waiting()).toBe(0);
  expect(await redis.redis.exists(...ids.map(queueKey))).toBe(0);
  expect(await redis.redis.keys('oncebox:slots:*')).toEqual([]);
  expect(await redis.redis.keys('oncebox:held*')).toEqual([]);
});
