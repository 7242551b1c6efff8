import { describe, expect, onTestFinished, test } from 'vitest';
import { inputPieceMaxBytes } from '../../sdk/contract/input.ts';
import { readInput, takeInput } from '../../services/queue/input-feed.ts';
import { finished, type TestGateway, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const testRedis = useRedis();
const program = { runtime: 'bash', code: 'cat', interactive: true } as const;

/** Starts one that waits for a worker; resolves with its id. */
async function start(gateway: TestGateway, request: object = program, headers = {}) {
  const reply = await gateway.postJson('/v1/run', request, { headers });
  expect(reply.status).toBe(200);
  expect(reply.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const leave = () => reply.body?.cancel();
  onTestFinished(() => leave()?.catch(() => {}));
  return { id: reply.headers.get('oncebox-invocation-id') ?? '', leave, reply };
}

const put = (
  gateway: TestGateway,
  id: string,
  number: number | string,
  body: string | Uint8Array<ArrayBuffer>,
  headers = {},
) =>
  gateway.app.request(`/v1/invocations/${id}/stdin/${number}`, {
    method: 'PUT',
    body,
    headers: { 'content-type': 'application/octet-stream', ...headers },
  });

const signal = (gateway: TestGateway, id: string, name: string) =>
  gateway.postJson(`/v1/invocations/${id}/signal`, { signal: name });

async function refused(reply: Response) {
  const { error } = (await reply.json()) as { error: { code: string; message: string } };
  return { status: reply.status, code: error.code, message: error.message };
}

async function sent(id: string, lane: 'stdin' | 'signal' = 'stdin'): Promise<Buffer[]> {
  return (await readInput(testRedis.redis, id, lane, undefined)).map(({ bytes }) => bytes);
}

describe('an interactive run', () => {
  const gateway = useGateway(testRedis);

  test('gets the bytes that are sent, each piece once and in order, and its end', async () => {
    const { id } = await start(gateway);
    const bytes = new Uint8Array([0, 0xff, 0xef, 0xbb, 0xbf, 10]);
    expect((await put(gateway, id, 1, bytes)).status).toBe(204);
    expect((await put(gateway, id, 1, bytes)).status).toBe(204);
    expect((await put(gateway, id, 2, 'é')).status).toBe(204);
    expect(await refused(await put(gateway, id, 4, 'x'))).toMatchObject({
      ...{ status: 409, code: 'input_refused', message: expect.stringContaining('the piece before') },
    });
    expect((await put(gateway, id, 3, '')).status).toBe(204);
    expect((await put(gateway, id, 3, '')).status).toBe(204);
    expect(await refused(await put(gateway, id, 4, 'x'))).toMatchObject({
      ...{ status: 409, code: 'input_refused', message: 'its stdin has ended' },
    });
    expect(await sent(id)).toEqual([Buffer.from(bytes), Buffer.from('é'), Buffer.alloc(0)]);
  });

  test('gets its signals by their names, and none that there is not', async () => {
    const { id } = await start(gateway);
    expect((await signal(gateway, id, 'SIGINT')).status).toBe(204);
    expect((await signal(gateway, id, 'SIGTERM')).status).toBe(204);
    expect(await refused(await signal(gateway, id, 'SIGRTMIN'))).toMatchObject({
      ...{ status: 400, code: 'invalid_request' },
    });
    expect((await sent(id, 'signal')).map(String)).toEqual(['2', '15']);
  });

  test('a piece waits until the program has taken what was sent before', async () => {
    const { id } = await start(gateway);
    for (const number of [1, 2, 3])
      expect((await put(gateway, id, number, new Uint8Array(inputPieceMaxBytes))).status).toBe(204);
    const fourth = put(gateway, id, 4, new Uint8Array(inputPieceMaxBytes));
    const [first] = await readInput(testRedis.redis, id, 'stdin', undefined);
    if (first) await takeInput(testRedis.redis, id, 'stdin', first);
    expect((await fourth).status).toBe(204);
    expect(await sent(id)).toHaveLength(3);
  });

  test('what is no number, or too large, is refused', async () => {
    const { id } = await start(gateway);
    for (const number of [0, -1, '1.5', '0x1', 'x'])
      expect(await refused(await put(gateway, id, number, 'x'))).toMatchObject({ status: 400 });
    const large = new Uint8Array(inputPieceMaxBytes + 1);
    expect(await refused(await put(gateway, id, 1, large))).toMatchObject({ code: 'body_too_large' });
    expect(await sent(id)).toEqual([]);
  });

  test('is cancelled with who started it, and nothing of its input stays', async () => {
    const { id, leave } = await start(gateway);
    await put(gateway, id, 1, 'unread');
    await leave();
    await expect.poll(() => testRedis.redis.keys('oncebox:input:*')).toEqual([]);
    expect(await gateway.queue.get(id)).toMatchObject({ outcome: { status: 'cancelled' } });
    expect(await refused(await put(gateway, id, 2, 'x'))).toMatchObject({
      ...{ status: 409, message: expect.stringContaining('it is over') },
    });
  });

  test('one that is no such run takes no input, and one that is not there is not found', async () => {
    const { id } = await start(gateway, { ...program, interactive: false }, { accept: 'text/event-stream' });
    expect(await refused(await put(gateway, id, 1, 'x'))).toMatchObject({
      ...{ status: 409, code: 'input_refused', message: expect.stringContaining('"interactive"') },
    });
    for (const unknown of [`inv_${'a'.repeat(26)}`, 'x'])
      expect(await refused(await signal(gateway, unknown, 'SIGINT'))).toMatchObject({
        ...{ status: 404, code: 'invocation_not_found' },
      });
  });

  test('needs the native wall, and leaves nothing where it is refused', async () => {
    const request = { ...program, isolation: 'gvisor' };
    const reply = await gateway.postJson('/v1/run', request);
    expect(await refused(reply)).toMatchObject({ status: 400, code: 'unsupported' });
    expect(await testRedis.redis.keys('oncebox:input:*')).toEqual([]);
  });

  test('its job says what it is, its input goes with it, and whoever asks again with its key hears the same one', async () => {
    const headers = { 'idempotency-key': 'once' };
    const { id, reply } = await start(gateway, { ...program, stdin: 'first' }, headers);
    expect((await start(gateway, { ...program, stdin: 'first' }, headers)).id).toBe(id);
    expect(await testRedis.redis.keys('oncebox:input:inv_*')).toEqual([`oncebox:input:${id}`]);
    const heard: unknown[] = [];
    await gateway.startWorker(async (job) => {
      heard.push(job.data);
      return finished(job);
    });
    expect(await reply.text()).toContain('event: end\n');
    // No worker has taken its input away.
    expect(await testRedis.redis.keys('oncebox:input:*')).toEqual([]);
    expect(heard[0]).toMatchObject({ interactive: true, events: true, stdin: 'first' });
  });
});

describe('where keys are asked for', () => {
  const adminKey = `ocb_admin_${'a'.repeat(64)}`;
  const gateway = useGateway(testRedis, { ONCEBOX_AUTH: 'required', ONCEBOX_ADMIN_KEY: adminKey });
  const authorization = `Bearer ${adminKey}`;

  async function keyOf(tenant: string, scopes: string[]): Promise<Record<string, string>> {
    const made = await gateway.postJson(
      '/v1/keys',
      { name: scopes.join('-'), tenant, scopes },
      { headers: { authorization } },
    );
    const { key } = (await made.json()) as { key: string };
    return { authorization: `Bearer ${key}` };
  }

  test("another tenant's takes no input, and a key that may not run anything sends none", async () => {
    const blue = await keyOf('blue', ['invoke']);
    const { id } = await start(gateway, program, blue);
    expect((await put(gateway, id, 1, 'x', await keyOf('red', ['invoke']))).status).toBe(404);
    expect((await put(gateway, id, 1, 'x', await keyOf('blue', ['read']))).status).toBe(403);
    expect(await sent(id)).toEqual([]);
    expect((await put(gateway, id, 1, 'x', blue)).status).toBe(204);
  });
});
