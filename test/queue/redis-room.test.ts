import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readFiles, saveFiles } from '../../services/queue/invocation-files.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { cancelledKey } from '../../services/queue/job.ts';
import { makeRoom } from '../../services/queue/make-room.ts';
import { packCodeLayer } from '../../services/registry/code-layer.ts';
import { createDiffRecorder } from '../../services/worker/record-diff.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { nodeImage } from '../support/images.ts';
import { useRedis } from '../support/redis.ts';
import { snippetRequest } from '../support/snippet-request.ts';

const MiB = 1024 * 1024;
const redis = useRedis();
const gateway = useGateway(redis, { ONCEBOX_RECORDS_KEPT: '5' });

beforeEach(() => redis.redis.config('SET', 'maxmemory', String(48 * MiB)));
afterEach(() => redis.redis.config('SET', 'maxmemory', '0'));

async function runsOne() {
  await gateway.startWorker(async (job) => finished(job));
  const id = newInvocationId();
  const { outcome } = await gateway.queue.enqueueAndWait(id, snippetRequest, { timeoutMs: 120_000 });
  expect(outcome).toEqual({ status: 'ok' });
}

test('archives that do not fit are not kept, and invocations run on', async () => {
  const record = createDiffRecorder({ redis: redis.redis, maxBytes: 16 * MiB, keepMs: 60_000 });
  const { tar } = packCodeLayer([{ path: 'a', data: Buffer.alloc(4 * MiB, 'x') }]);
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, number) => record(`inv-${number}`, 'archive', tar)),
  );
  const refused = all.filter(({ files }) => files === undefined);
  expect(all.length - refused.length).toBeGreaterThan(1);
  expect(refused.length).toBeGreaterThan(8);
  for (const { diffError, changes } of refused) {
    expect(diffError).toContain('cannot keep the files: the memory of Redis is used up');
    expect(changes).not.toEqual([]);
  }
  await runsOne();
});

test('deploys that do not fit are refused, one of a layer that is there is not, and invocations run on', async () => {
  const deploy = (number: number) =>
    gateway.registry.deploy({
      name: `f-${number}`,
      image: { ...nodeImage, reference: 'localhost/node:latest' },
      runtime: 'node',
      handler: 'index.handler',
      env: {},
      limits: {},
      files: [{ path: 'index.cjs', data: Buffer.alloc(4 * MiB, number) }],
    });
  let deployed = 0;
  let refusal: unknown;
  while (refusal === undefined && deployed < 20) {
    await deploy(deployed)
      .then(() => deployed++)
      .catch((error: unknown) => {
        refusal = error;
      });
  }
  expect(refusal).toMatchObject({
    code: 'unavailable',
    message: 'cannot deploy: the memory of Redis is used up',
    details: { retryAfterSeconds: 1 },
  });
  expect(deployed).toBeGreaterThan(2);
  expect((await deploy(0)).created).toBe(false);
  await runsOne();
});

test('of those cancelled while they waited as many are known as records are kept', async () => {
  const ids = Array.from({ length: 8 }, newInvocationId);
  for (const id of ids) {
    await gateway.queue.enqueue(id, snippetRequest);
    await gateway.queue.cancel(id);
    // Of the same millisecond their order is that of the ids.
    await delay(2);
  }
  const known = await Promise.all(ids.map((id) => redis.redis.exists(cancelledKey(id))));
  expect(known).toEqual([0, 0, 0, 1, 1, 1, 1, 1]);
});

test('archives give way when room is made, also those whose record is gone', async () => {
  await saveFiles(redis.redis, 'old', Buffer.alloc(10), 60_000);
  await saveFiles(redis.redis, 'new', Buffer.alloc(10), 60_000);
  await redis.redis.zadd('oncebox:files-at', Date.now() - 30_000, 'old');
  expect(await makeRoom(redis.redis)).toBe(1);
  expect(await readFiles(redis.redis, 'old')).toBeUndefined();
  expect(await readFiles(redis.redis, 'new')).toHaveLength(10);
});
