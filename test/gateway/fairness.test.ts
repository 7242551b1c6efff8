import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const gateway = useGateway(useRedis());
const waitingMany = 5_000;

test("with a tenant's 5,000 calls waiting, another's waits less than a second", async () => {
  for (let sent = 0; sent < waitingMany; sent += 250) {
    const additions = Array.from({ length: 250 }, () =>
      gateway.queue.enqueue(newInvocationId(), {
        tenant: 'busy',
        runtime: 'node',
        program: { kind: 'snippet', files: [], entry: 'a.js', args: [], env: {} },
        stdin: '',
        limits: defaultLimits(),
      }),
    );
    await Promise.all(additions);
  }
  let busyRuns = 0;
  await gateway.startWorker(async (job) => {
    await delay(20);
    if (job.data.tenant === 'busy') busyRuns += 1;
    return finished(job, { timings: { ...timings, queueMs: Date.now() - (job.data.enqueuedAtMs ?? 0) } });
  });
  const response = await gateway.postJson('/v1/run', { runtime: 'node', code: '' });
  expect(response.status).toBe(200);
  // It would have been the last of all.
  expect(busyRuns).toBeLessThan(waitingMany / 2);
  expect(await gateway.queue.waiting()).toBeGreaterThan(waitingMany / 2);
});

test('a priority is in the record, and one that there is not is refused', async () => {
  await gateway.startWorker(async (job) => finished(job));
  const run = (priority: string) =>
    gateway.postJson(
      '/v1/run',
      { runtime: 'node', code: '' },
      { headers: { 'oncebox-priority': priority, prefer: 'respond-async' } },
    );
  const accepted = await run('high');
  expect(accepted.status).toBe(202);
  expect(await accepted.json()).toMatchObject({ status: 'queued', priority: 'high' });
  const refused = await run('urgent');
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({
    error: { code: 'invalid_request', field: 'oncebox-priority' },
  });
});

const timings = {
  ...{ receiveMs: 0, queueMs: 0, admitMs: 0, prepareMs: 0, leaseMs: 0 },
  ...{ startMs: 0, runMs: 20 },
};
