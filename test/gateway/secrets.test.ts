import { beforeEach, expect, test } from 'vitest';
import { boxKeys } from '../../services/secrets/sealed-box.ts';
import { secretsKey } from '../../services/secrets/stored-secret.ts';
import { createSecretReader } from '../../services/worker/secrets.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const keys = boxKeys();
const redis = useRedis();
const gateway = useGateway(redis, {
  ONCEBOX_SECRETS_PUBLIC_KEY: keys.publicKey,
  ONCEBOX_BODY_MAX_BYTES: '1048576',
});
const send = (method: string, url: string, body?: unknown) =>
  gateway.postJson(url, body === undefined ? '' : body, { method });
const put = (name: string, body: unknown) => send('PUT', `/v1/secrets/${name}`, body);
const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code;
const read = async (tenant: string, names: string[], key = keys.privateKey) =>
  (await createSecretReader(redis.redis, key)(tenant, names)).map(({ value }) => value.toString());

let marks = 0;
/** Found nowhere but where it was put. */
let mark = '';
beforeEach(() => {
  mark = `hush-${process.pid}-${marks++}-${Math.random().toString(36).slice(2)}`;
});

test('a secret is put, listed without its value, put again and deleted', async () => {
  const made = await put('TOKEN', { value: mark });
  expect(made.status).toBe(201);
  const summary = (await made.json()) as { createdAt: string };
  expect(summary).toMatchObject({ name: 'TOKEN', sizeBytes: mark.length, version: 1 });
  const again = await put('TOKEN', { base64: Buffer.from([0, 255]).toString('base64') });
  expect(again.status).toBe(200);
  expect(await again.json()).toMatchObject({ version: 2, sizeBytes: 2, createdAt: summary.createdAt });
  await put('A', { value: '' });
  const listed = await (await gateway.app.request('/v1/secrets')).text();
  expect(JSON.parse(listed).secrets.map(({ name }: { name: string }) => name)).toEqual(['A', 'TOKEN']);
  expect(listed).not.toContain('sealed');
  expect((await send('DELETE', '/v1/secrets/TOKEN')).status).toBe(204);
  const gone = await send('DELETE', '/v1/secrets/TOKEN');
  expect([gone.status, await codeOf(gone)]).toEqual([404, 'secret_not_found']);
});

test.each([
  ['nothing', {}, 'value'],
  ['both forms', { value: 'a', base64: 'YQ==' }, 'value'],
  ['what is no base64', { base64: '*' }, 'base64'],
  ['more than 64 KiB', { value: 'x'.repeat(65_537) }, 'value'],
  ['more than 64 KiB in base64', { base64: Buffer.alloc(65_537).toString('base64') }, 'base64'],
  ['a field too many', { value: 'a', tenant: 'b' }, 'tenant'],
])('a secret of %s is refused, with the field and without the value', async (_, body, field) => {
  const response = await put('TOKEN', body);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { code: 'invalid_request', field } });
});

test.each(['.x', '-x', 'a b', 'a%2Fb', 'x'.repeat(64), '..', '%2e%2e'])(
  '%s is no name for a secret',
  async (name) => {
    expect((await put(name, { value: 'a' })).status).toBeGreaterThanOrEqual(400);
    expect(await redis.redis.exists(secretsKey())).toBe(0);
  },
);

test('in Redis no byte of a value is found, and only the private key opens what is there', async () => {
  await put('TOKEN', { value: mark });
  const stored = JSON.stringify(await redis.redis.hgetall(secretsKey()));
  for (const form of [mark, Buffer.from(mark).toString('base64'), Buffer.from(mark).toString('hex')])
    expect(stored).not.toContain(form);
  expect(await read('default', ['TOKEN'])).toEqual([mark]);
  await expect(read('default', ['TOKEN'], boxKeys().privateKey)).rejects.toThrow('put for another key');
  await expect(read('default', ['TOKEN'], '')).rejects.toThrow('ONCEBOX_SECRETS_KEY');
});

test("a box that is moved to another name, or to another tenant's, does not open", async () => {
  await put('TOKEN', { value: mark });
  const box = (await redis.redis.hget(secretsKey(), 'TOKEN')) ?? '';
  await redis.redis.hset(secretsKey(), 'MINE', box);
  await redis.redis.hset(secretsKey('umbrella'), 'TOKEN', box);
  await expect(read('default', ['MINE'])).rejects.toThrow('not what it was put as');
  await expect(read('umbrella', ['TOKEN'])).rejects.toThrow('not what it was put as');
  expect(await read('default', ['TOKEN']), 'the control').toEqual([mark]);
  await expect(read('acme', ['TOKEN'])).rejects.toThrow('TOKEN is gone');
});

const deployment = (secrets?: string[]) => ({
  runtime: 'node',
  handler: 'index.handler',
  files: [{ path: 'index.mjs', content: 'export const handler = () => 1;' }],
  ...(secrets && { secrets }),
});

test('a call whose secrets are not all there is refused before anything is enqueued', async () => {
  await send('PUT', '/v1/functions/hello', deployment(['TOKEN', 'OTHER', 'THIRD']));
  await put('OTHER', { value: mark });
  const refused = await gateway.postJson('/v1/functions/hello/invoke', {});
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({
    error: { code: 'secret_missing', message: expect.stringContaining('THIRD, TOKEN') },
  });
  expect(await gateway.queue.waiting()).toBe(0);
  expect(
    (await gateway.registry.list()).map(({ name }) => name),
    'it is listed',
  ).toEqual(['hello']);
});

test('a job names its secrets, and nothing on its way holds a value', async () => {
  let job = '';
  await gateway.startWorker(async (taken) => {
    job = JSON.stringify(taken.data);
    return finished(taken, { outcome: { status: 'ok', result: 1 } });
  });
  await put('TOKEN', { value: mark });
  const deployed = await send('PUT', '/v1/functions/hello', deployment(['TOKEN']));
  expect(await deployed.json()).toMatchObject({ secrets: ['TOKEN'] });
  const response = await gateway.postJson('/v1/functions/hello/invoke', {});
  expect(response.status).toBe(200);
  expect(JSON.parse(job)).toMatchObject({ secrets: ['TOKEN'] });
  const record = await gateway.app.request(
    `/v1/invocations/${response.headers.get('oncebox-invocation-id')}`,
  );
  expect(job + (await record.text())).not.toContain(mark);
});

test('the names of secrets are part of a version, in whatever order they come', async () => {
  const digestOf = async (secrets?: string[]) =>
    ((await (await send('PUT', '/v1/functions/hello', deployment(secrets))).json()) as { digest: string })
      .digest;
  const plain = await digestOf();
  expect(await digestOf([])).toBe(plain);
  const named = await digestOf(['A', 'B']);
  expect(named).not.toBe(plain);
  expect(await digestOf(['B', 'A'])).toBe(named);
  for (const secrets of [['A', 'A'], ['../x'], Array.from({ length: 33 }, (_, at) => `S${at}`)])
    expect((await send('PUT', '/v1/functions/hello', deployment(secrets))).status).toBe(400);
});
