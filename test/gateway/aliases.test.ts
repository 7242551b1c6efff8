import { beforeEach, expect, test } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const gateway = useGateway(useRedis());
const path = '/v1/functions/hello';

beforeEach(async () => {
  for (const number of [1, 2, 3]) await deploy(number);
});

async function deploy(number: number): Promise<void> {
  const files = [{ path: 'index.mjs', content: `export const handler = () => ${number};` }];
  const response = await send('PUT', path, { runtime: 'node', handler: 'index.handler', files });
  expect(response.status).toBeLessThan(300);
}

const send = (method: string, url: string, body?: unknown) =>
  gateway.postJson(url, body === undefined ? '' : body, { method });
const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code;

test('an alias is made, listed, changed and deleted', async () => {
  const made = await send('PUT', `${path}/aliases/prod`, { version: 1 });
  expect(made.status).toBe(200);
  const alias = await made.json();
  expect(alias).toMatchObject({ name: 'prod', version: 1, weights: {} });
  await send('PUT', `${path}/aliases/beta`, { version: 2, weights: { 3: 0.5 } });
  const { aliases } = (await (await gateway.app.request(`${path}/aliases`)).json()) as { aliases: unknown[] };
  expect(aliases).toEqual([expect.objectContaining({ name: 'beta', weights: { 3: 0.5 } }), alias]);
  expect((await send('DELETE', `${path}/aliases/prod`)).status).toBe(204);
  const again = await send('DELETE', `${path}/aliases/prod`);
  expect([again.status, await codeOf(again)]).toEqual([404, 'alias_not_found']);
});

test.each([
  ['no version', {}, 'version'],
  ['a version that is not there', { version: 9 }, 'version'],
  ['a share of the rest', { version: 1, weights: { 1: 0.5 } }, 'weights.1'],
  ['shares of more than all', { version: 1, weights: { 2: 0.6, 3: 0.6 } }, 'weights'],
  ['a negative share', { version: 1, weights: { 2: -0.1 } }, 'weights.2'],
  ['a share of what is no version', { version: 1, weights: { two: 0.1 } }, 'weights.two'],
  ['a field too many', { version: 1, wieghts: {} }, 'wieghts'],
])('an alias with %s is refused, with the field', async (_, body, field) => {
  const response = await send('PUT', `${path}/aliases/prod`, body);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { code: 'invalid_request', field } });
});

test.each(['3', '3x', '_prod', '-a', 'a'.repeat(129), 'a%3Ab'])(
  '%s is no name for an alias',
  async (name) => {
    const response = await send('PUT', `${path}/aliases/${name}`, { version: 1 });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { field: 'alias' } });
  },
);

test('a call by name, number and alias runs that version, and the reply and the record say which', async () => {
  await gateway.startWorker(async (job) => finished(job, { outcome: { status: 'ok', result: 'done' } }));
  await send('PUT', `${path}/aliases/prod`, { version: 2, weights: { 1: 1 } });
  for (const [reference, version] of [
    ['hello', 3],
    ['hello:2', 2],
    ['hello:prod', 1],
    ['hello%3Aprod', 1],
  ] as const) {
    const response = await gateway.postJson(`/v1/functions/${reference}/invoke`, {});
    expect(response.status, reference).toBe(200);
    expect(response.headers.get('oncebox-function-version')).toBe(String(version));
    const id = response.headers.get('oncebox-invocation-id');
    const record = (await (await gateway.app.request(`/v1/invocations/${id}`)).json()) as Invocation;
    expect(record.function).toMatchObject({ name: 'hello', version });
  }
});

test('a call of what is not there is a 404, and nothing is enqueued', async () => {
  for (const [reference, code] of [
    ['hello:9', 'version_not_found'],
    ['hello:prod', 'alias_not_found'],
    ['nobody:prod', 'function_not_found'],
    ['hello:', 'function_not_found'],
  ]) {
    const response = await gateway.postJson(`/v1/functions/${reference}/invoke`, {});
    expect([response.status, await codeOf(response)], reference).toEqual([404, code]);
  }
  expect(await gateway.queue.waiting()).toBe(0);
});

test('a rollback makes the version before current again, or the one given', async () => {
  const rollback = (body?: unknown) => send('POST', `${path}/rollback`, body);
  expect(await (await rollback()).json()).toMatchObject({ name: 'hello', version: 2 });
  expect(await (await rollback({ version: 3 })).json()).toMatchObject({ version: 3 });
  expect(await (await rollback({})).json()).toMatchObject({ version: 2 });
  const unknown = await rollback({ version: 7 });
  expect([unknown.status, await codeOf(unknown)]).toEqual([404, 'version_not_found']);
  expect((await rollback({ version: 'two' })).status).toBe(400);
});

test('a version goes when nothing points at it', async () => {
  await send('PUT', `${path}/aliases/prod`, { version: 1 });
  for (const [version, status, code] of [
    ['3', 409, 'version_in_use'],
    ['1', 409, 'version_in_use'],
    ['8', 404, 'version_not_found'],
    ['x', 404, 'version_not_found'],
  ] as const) {
    const response = await send('DELETE', `${path}/versions/${version}`);
    expect([response.status, await codeOf(response)], version).toEqual([status, code]);
  }
  expect((await send('DELETE', `${path}/versions/2`)).status).toBe(204);
  const record = (await (await gateway.app.request(path)).json()) as { versions: { version: number }[] };
  expect(record.versions.map(({ version }) => version)).toEqual([1, 3]);
});
