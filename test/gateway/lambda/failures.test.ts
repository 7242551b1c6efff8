import { beforeEach, expect, test, vi } from 'vitest';
import { resultPending } from '../../../services/queue/refusals.ts';
import { finished, useGateway } from '../../support/gateway.ts';
import { nodeImage } from '../../support/images.ts';
import { useRedis } from '../../support/redis.ts';

const gateway = useGateway(useRedis());
const path = '/2015-03-31/functions/hello/invocations';

beforeEach(async () => {
  await gateway.registry.deploy({
    image: { ...nodeImage, reference: 'localhost/node:latest' },
    ...{ name: 'hello', runtime: 'node', handler: 'index.handler', env: {}, limits: {} },
    files: [{ path: 'index.js', data: Buffer.from('') }],
  });
});

test('what somebody cancelled is final, and nothing that clients send again', async () => {
  await gateway.startWorker(async (job) => finished(job, { outcome: { status: 'cancelled' } }));
  const response = await gateway.postJson(path, {});
  expect([response.status, response.headers.get('x-amz-function-error')]).toEqual([200, 'Unhandled']);
  expect(await response.json()).toMatchObject({
    errorType: 'Runtime.ExitError',
    errorMessage: expect.stringMatching(/^RequestId: inv_\w+ Error: .*signal: killed$/),
  });
});

test.each([
  ['is cancelled, as clients send it again', {}, 'cancelled'],
  ['goes on where a key says that it is come back for', { 'idempotency-key': 'one' }, undefined],
])('what is not over when a 504 says so %s', async (_, headers, status) => {
  let pending = '';
  vi.spyOn(gateway.queue, 'enqueueAndWait').mockImplementation(async (id, job) => {
    pending = await gateway.queue.enqueue(id, job);
    throw resultPending(id, 60_000);
  });
  const response = await gateway.postJson(path, {}, { headers });
  expect([response.status, response.headers.get('x-amzn-errortype')]).toEqual([504, 'ServiceException']);
  expect((await gateway.queue.get(pending))?.outcome?.status).toBe(status);
});
