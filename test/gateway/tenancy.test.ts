import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { createdKeySchema } from '../../sdk/contract/key.ts';
import type { SandboxList, SandboxRecord } from '../../sdk/contract/node.ts';
import { saveFiles } from '../../services/queue/invocation-files.ts';
import { joinNodeDirectory } from '../../services/queue/node-directory.ts';
import { finished, gate, untilCancelled, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const adminKey = `ocb_admin_${'a'.repeat(64)}`;
const gateway = useGateway(redis, { ONCEBOX_AUTH: 'required', ONCEBOX_ADMIN_KEY: adminKey });
const snippet = { runtime: 'node', code: '1' };
/** Keys that may do all but what admins may, by tenant. */
const keys = { acme: '', zeta: '', default: '' };
type Tenant = keyof typeof keys;

beforeEach(async () => {
  for (const tenant of Object.keys(keys) as Tenant[]) {
    const response = await gateway.postJson(
      '/v1/keys',
      { name: 'all', tenant, scopes: ['read', 'invoke', 'deploy'] },
      { headers: { 'x-api-key': adminKey } },
    );
    keys[tenant] = createdKeySchema.parse(await response.json()).key;
  }
});

function ask(tenant: Tenant, path: string, method = 'GET', body?: unknown, headers = {}): Promise<Response> {
  return gateway.postJson(path, body, { method, headers: { 'x-api-key': keys[tenant], ...headers } });
}

async function accepted(tenant: Tenant): Promise<string> {
  const response = await ask(tenant, '/v1/run', 'POST', snippet, { prefer: 'respond-async' });
  expect(response.status).toBe(202);
  return ((await response.json()) as Invocation).id;
}

async function expectUnknown(response: Response, code: string) {
  expect([response.status, await response.json()]).toMatchObject([404, { error: { code } }]);
}

describe("another tenant's invocation", () => {
  test.each(['', '/files'])('is not there to be read at …%s, whatever became of it', async (path) => {
    const started = gate();
    const ended = gate();
    await gateway.startWorker(async (job) => {
      started.open();
      await ended.opened;
      return finished(job);
    });
    const id = await accepted('acme');
    await saveFiles(redis.redis, id, Buffer.from('theirs'), 60_000);
    await started.opened;
    const isNotTheirs = async () => {
      for (const other of ['zeta', 'default'] as const)
        await expectUnknown(await ask(other, `/v1/invocations/${id}${path}`), 'invocation_not_found');
      expect((await ask('acme', `/v1/invocations/${id}${path}`)).status).toBe(200);
    };
    await isNotTheirs();
    ended.open();
    await isNotTheirs();
  });

  test('is not cancelled while it waits, nor seen when its own tenant has cancelled it', async () => {
    const id = await accepted('acme');
    await expectUnknown(await ask('zeta', `/v1/invocations/${id}`, 'DELETE'), 'invocation_not_found');
    expect(await gateway.queue.waiting()).toBe(1);
    expect((await ask('acme', `/v1/invocations/${id}`, 'DELETE')).status).toBe(200);
    for (const method of ['GET', 'DELETE']) {
      await expectUnknown(await ask('zeta', `/v1/invocations/${id}`, method), 'invocation_not_found');
      expect(await (await ask('acme', `/v1/invocations/${id}`, method)).json()).toMatchObject({
        outcome: { status: 'cancelled' },
      });
    }
  });

  test('is not cancelled while it runs', async () => {
    const started = gate();
    let wasTold = false;
    await gateway.startWorker((job, cancelled) => {
      cancelled.addEventListener('abort', () => {
        wasTold = true;
      });
      started.open();
      return untilCancelled(job, cancelled);
    });
    const id = await accepted('acme');
    await started.opened;
    await expectUnknown(await ask('zeta', `/v1/invocations/${id}`, 'DELETE'), 'invocation_not_found');
    expect(wasTold).toBe(false);
    expect((await ask('acme', `/v1/invocations/${id}`, 'DELETE')).status).toBe(202);
  });

  test('is there for an admin who says whose it is', async () => {
    const id = await accepted('acme');
    const read = (tenant: string) =>
      gateway.app.request(`/v1/invocations/${id}`, {
        headers: { 'x-api-key': adminKey, 'oncebox-tenant': tenant },
      });
    expect((await read('acme')).status).toBe(200);
    expect((await read('default')).status).toBe(404);
  });
});

describe("another tenant's function", () => {
  const hello = (text: string) => ({
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: `export const handler = () => '${text}'` }],
  });

  test.each([
    ['GET', '/v1/functions/hello'],
    ['DELETE', '/v1/functions/hello'],
    ['POST', '/v1/functions/hello/invoke'],
    ['POST', '/v1/functions/hello:1/invoke'],
    ['GET', '/v1/functions/hello/aliases'],
    ['PUT', '/v1/functions/hello/aliases/prod'],
    ['POST', '/v1/functions/hello/rollback'],
    ['DELETE', '/v1/functions/hello/versions/1'],
    ['GET', '/v1/functions/acme:hello'],
    ['DELETE', '/v1/functions/acme:hello'],
    ['POST', '/v1/functions/acme:hello:1/invoke'],
  ])('is not there for %s %s', async (method, path) => {
    expect((await ask('acme', '/v1/functions/hello', 'PUT', hello('a'))).status).toBe(201);
    const body = method === 'PUT' ? { version: 1 } : method === 'POST' ? {} : undefined;
    for (const other of ['zeta', 'default'] as const)
      await expectUnknown(await ask(other, path, method, body), 'function_not_found');
    expect((await ask('acme', '/v1/functions/hello')).status).toBe(200);
  });

  test('may have the name of ours: each is listed, called and deleted by itself, though the code is the same', async () => {
    for (const tenant of ['acme', 'zeta', 'default'] as const)
      expect((await ask(tenant, '/v1/functions/hello', 'PUT', hello('same'))).status).toBe(201);
    await ask('acme', '/v1/functions/hello', 'PUT', hello('acme'));
    await gateway.startWorker(async (job) =>
      finished(job, { outcome: { status: 'ok', result: job.data.tenant } }),
    );
    for (const [tenant, current] of [
      ['acme', 2],
      ['zeta', 1],
    ] as const) {
      const { functions } = (await (await ask(tenant, '/v1/functions')).json()) as {
        functions: { name: string; version: number }[];
      };
      expect(functions).toMatchObject([{ name: 'hello', version: current }]);
      const reply = await ask(tenant, '/v1/functions/hello/invoke', 'POST', {});
      expect([await reply.json(), reply.headers.get('oncebox-function-version')]).toEqual([
        tenant,
        `${current}`,
      ]);
    }
    expect((await ask('acme', '/v1/functions/hello', 'DELETE')).status).toBe(204);
    expect((await ask('zeta', '/v1/functions/hello/invoke', 'POST', {})).status).toBe(200);
    expect(await redis.redis.keys('oncebox:layer:*')).toHaveLength(1);
  });
});

test('a tenant sees the sandboxes that run for it, and an admin all', async () => {
  const sandbox = (id: string, tenant?: string): SandboxRecord => ({
    ...{ id, state: 'running', runtime: 'node', image: { digest: 'sha256:0' }, start: 'warm', node: 'n' },
    ...{ writableBytes: 0, virtualBytes: 0, memoryBytes: 0, memoryPeakBytes: 0, ageMs: 1 },
    ...(tenant && { tenant, invocationId: `inv_${id}` }),
  });
  const subscriber = redis.connect();
  const joined = await joinNodeDirectory({
    redis: redis.redis,
    subscriber,
    node: { node: 'n', pid: 1, concurrency: 1, startedAt: '', isolations: ['native'] },
    identity: 'n',
    listSandboxes: () => [sandbox('a', 'acme'), sandbox('z', 'zeta'), sandbox('parked')],
    onError: () => {},
  });
  gateway.undo.push(async () => {
    await joined.leave();
    subscriber.disconnect();
  });
  // The node has half a second to answer, and may be late on a busy machine.
  const expectSeen = async (key: string, ids: string[]) => {
    const seen = await vi.waitFor(async () => {
      const response = await gateway.app.request('/v1/sandboxes', { headers: { 'x-api-key': key } });
      const { sandboxes, silentNodes } = (await response.json()) as SandboxList;
      expect(silentNodes).toEqual([]);
      return sandboxes.map(({ id }) => id);
    }, 60_000);
    expect(seen).toEqual(ids);
  };
  await expectSeen(keys.acme, ['a']);
  await expectSeen(keys.default, []);
  await expectSeen(adminKey, ['a', 'z', 'parked']);
});
