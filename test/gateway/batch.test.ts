import { expect, test } from 'vitest';
import type { BatchItem } from '../../sdk/contract/batch.ts';
import type { ErrorBody } from '../../sdk/contract/error.ts';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { finished, gate, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const gateway = useGateway(useRedis(), { ONCEBOX_QUEUE_MAX: '5' });

const deployed = () =>
  gateway.app.request('/v1/functions/echo', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      runtime: 'node',
      handler: 'index.handler',
      files: [{ path: 'index.mjs', content: 'export const handler = (event) => event;' }],
    }),
  });

async function batch(
  body: unknown,
): Promise<{ status: number; invocations: BatchItem[]; response: Response }> {
  const response = await gateway.postJson('/v1/functions/echo/batch', body);
  const { invocations } = (await response.json()) as { invocations: BatchItem[] };
  return { status: response.status, invocations, response };
}

async function record(item: BatchItem | undefined): Promise<Invocation> {
  if (!item || !('id' in item)) throw new Error('it was refused');
  return (await (await gateway.app.request(`/v1/invocations/${item.id}`)).json()) as Invocation;
}

test('each event of a batch is a call of its own, in their order', async () => {
  await deployed();
  const events = [{ n: 1 }, 'two', null, [4]];
  const seen = new Map<string, string>();
  const all = gate();
  await gateway.startWorker(async (job) => {
    const { program } = job.data;
    seen.set(job.id ?? '', program.kind === 'handler' ? program.eventJson : '');
    if (seen.size === events.length) all.open();
    return finished(job);
  });
  const { status, invocations } = await batch({ events });
  expect(status).toBe(202);
  await all.opened;
  expect(invocations.map((item) => 'id' in item && seen.get(item.id))).toEqual(
    events.map((event) => JSON.stringify(event)),
  );
});

test('what the queue has no place for is refused by itself, and the rest is taken', async () => {
  await deployed();
  const { status, invocations, response } = await batch({ events: [1, 2, 3, 4, 5, 6, 7] });
  expect(status).toBe(202);
  const refused = invocations.filter((item) => 'error' in item);
  expect(refused.map(({ error }) => error.code)).toEqual(['queue_full', 'queue_full']);
  expect(response.headers.get('retry-after')).toBe('1');
  const taken = invocations.filter((item) => 'id' in item);
  expect(await Promise.all(taken.map(async (item) => (await record(item)).status))).toEqual(
    Array.from({ length: 5 }, () => 'queued'),
  );
});

test('a call of a batch may be called back elsewhere than the others', async () => {
  await deployed();
  const [all, own] = ['https://example.com/all', 'https://example.com/own'];
  const response = await gateway.postJson(
    '/v1/functions/echo/batch',
    { events: [1, 2, 3], options: [null, { callback: own }] },
    { headers: { 'oncebox-callback': all } },
  );
  const { invocations } = (await response.json()) as { invocations: BatchItem[] };
  const records = await Promise.all(invocations.map(record));
  expect(records.map(({ callback }) => callback?.url)).toEqual([all, own, all]);
});

test.each([
  ['with more options than events', { events: [1], options: [null, null] }, 'options'],
  [
    'with a callback that is none',
    { events: [1], options: [{ callback: 'file:///a' }] },
    'options.0.callback',
  ],
  ['without events', {}, 'events'],
  ['with no event', { events: [] }, 'events'],
  ['with more than a thousand', { events: Array.from({ length: 1001 }, () => 0) }, 'events'],
  ['with a field that there is not', { events: [1], event: 1 }, 'event'],
])('a batch %s is refused whole', async (_, body, field) => {
  await deployed();
  const response = await gateway.postJson('/v1/functions/echo/batch', body);
  expect(response.status).toBe(400);
  expect(((await response.json()) as ErrorBody).error).toMatchObject({ code: 'invalid_request', field });
  expect(await gateway.queue.waiting()).toBe(0);
});

test('a batch for no function is a 404, and nothing of it is enqueued', async () => {
  const response = await gateway.postJson('/v1/functions/none/batch', { events: [1] });
  expect(response.status).toBe(404);
  expect(await gateway.queue.waiting()).toBe(0);
});
