import { expect, test } from 'vitest';
import { type Invocation, invocationSchema } from '../../sdk/contract/invocation.ts';
import { saveFiles } from '../../services/queue/invocation-files.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { finished, gate, untilCancelled, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

async function runAsync(): Promise<string> {
  const response = await gateway.postJson(
    '/v1/run',
    { runtime: 'node', code: '' },
    { headers: { prefer: 'handling=lenient, Respond-Async; wait=5' } },
  );
  expect(response.status).toBe(202);
  const invocation = invocationSchema.parse(await response.json());
  expect(invocation.status).toBe('queued');
  expect(response.headers.get('location')).toBe(`/v1/invocations/${invocation.id}`);
  expect(response.headers.get('preference-applied')).toBe('respond-async');
  return invocation.id;
}

async function read(id: string, method = 'GET'): Promise<{ status: number; invocation: Invocation }> {
  const response = await gateway.app.request(`/v1/invocations/${id}`, { method });
  return { status: response.status, invocation: invocationSchema.parse(await response.json()) };
}

async function readWhenFinished(id: string): Promise<Invocation> {
  for (;;) {
    const { invocation } = await read(id);
    if (invocation.status === 'done' || invocation.status === 'failed') return invocation;
  }
}

test('an asynchronous run can be read while it waits, while it runs and when it is done', async () => {
  const id = await runAsync();
  expect((await read(id)).invocation).toMatchObject({ id, status: 'queued', stdout: '' });

  const started = gate();
  const finish = gate();
  await gateway.startWorker(async (job) => {
    started.open();
    await finish.opened;
    return finished(job, { stdout: 'done\n' });
  });
  await started.opened;
  expect((await read(id)).invocation).toMatchObject({ id, status: 'running' });

  finish.open();
  expect(await readWhenFinished(id)).toMatchObject({ id, status: 'done', stdout: 'done\n' });
});

test('one whose job failed reads as failed, with the outcome lost', async () => {
  const id = await runAsync();
  await gateway.startWorker(async () => {
    throw new Error('the launcher died');
  });
  const outcome = { status: 'lost', reason: 'the launcher died' };
  expect(await readWhenFinished(id)).toMatchObject({ status: 'failed', outcome });
});

test('cancelling a waiting invocation records it as cancelled, and no worker runs it', async () => {
  const cancelledId = await runAsync();
  const keptId = await runAsync();
  const { status, invocation } = await read(cancelledId, 'DELETE');
  expect(status).toBe(200);
  expect(invocation).toMatchObject({ status: 'done', outcome: { status: 'cancelled' } });

  const ran: unknown[] = [];
  await gateway.startWorker(async (job) => {
    ran.push(job.id);
    return finished(job);
  });
  await readWhenFinished(keptId);
  expect(ran).toEqual([keptId]);
  expect((await read(cancelledId)).invocation).toMatchObject({ outcome: { status: 'cancelled' } });
});

test('cancelling a waiting invocation wakes the caller who waits for it', async () => {
  const reply = gateway.postJson('/v1/run', { runtime: 'node', code: '' });
  const id = await firstWaiting();
  expect((await read(id, 'DELETE')).status).toBe(200);
  expect(await (await reply).json()).toMatchObject({ id, outcome: { status: 'cancelled' } });
});

test('cancelling a running invocation tells its worker', async () => {
  const id = await runAsync();
  const started = gate();
  await gateway.startWorker((job, cancelled) => {
    started.open();
    return untilCancelled(job, cancelled);
  });
  await started.opened;
  const { status, invocation } = await read(id, 'DELETE');
  expect([status, invocation.status]).toEqual([202, 'running']);
  expect(await readWhenFinished(id)).toMatchObject({ outcome: { status: 'cancelled' } });
});

test('cancelling a finished invocation leaves its record as it is', async () => {
  const id = await runAsync();
  await gateway.startWorker(async (job) => finished(job, { stdout: 'x' }));
  await readWhenFinished(id);
  const { status, invocation } = await read(id, 'DELETE');
  expect(status).toBe(200);
  expect(invocation).toMatchObject({ status: 'done', outcome: { status: 'ok' }, stdout: 'x' });
});

test('the files of an invocation are a tar for as long as they are kept, and a 404 with the reason otherwise', async () => {
  const diffError = 'the files are not kept: too large';
  await gateway.startWorker(async (job) => finished(job, job.data.diff === true ? { diffError } : {}));
  const files = (id: string) => gateway.app.request(`/v1/invocations/${id}/files`);
  const run = async (diff: unknown) => {
    const reply = await gateway.postJson('/v1/run', { runtime: 'node', code: '', diff });
    return ((await reply.json()) as Invocation).id;
  };
  const kept = await run('archive');
  await saveFiles(redis.redis, kept, Buffer.from([0, 255, 1]), 60_000);
  const response = await files(kept);
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-tar']);
  expect(new Uint8Array(await response.arrayBuffer())).toEqual(new Uint8Array([0, 255, 1]));

  for (const [diff, reason] of [
    [true, diffError],
    [false, '"diff": "archive"'],
  ] as const) {
    const missing = await files(await run(diff));
    expect([missing.status, await missing.json()]).toMatchObject([
      404,
      { error: { code: 'invocation_not_found', message: expect.stringContaining(reason) } },
    ]);
  }
  expect((await files(newInvocationId())).status).toBe(404);
});

test.each(['GET', 'DELETE'])('%s of an unknown invocation is a 404', async (method) => {
  for (const id of [newInvocationId(), 'wait', '1', 'inv_', 'a%3Ab', '%ff']) {
    const response = await gateway.app.request(`/v1/invocations/${id}`, { method });
    expect(response.status, id).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'invocation_not_found' } });
  }
});

/** The id of an invocation that a synchronous caller has enqueued, as soon as it is there. */
async function firstWaiting(): Promise<string> {
  for (;;) {
    const [id] = await redis.redis.zrange('oncebox:invocations:prioritized', '0', '0');
    if (id !== undefined) return id;
  }
}
