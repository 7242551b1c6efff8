import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { deployedFunctionSchema, functionRecordSchema } from '../../sdk/contract/function.ts';
import { packCodeLayer } from '../../services/registry/code-layer.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

const hello = {
  runtime: 'node',
  handler: 'index.handler',
  files: [{ path: 'index.mjs', content: 'export const handler = (event) => event' }],
};

function put(name: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return gateway.postJson(`/v1/functions/${name}`, body, { method: 'PUT', ...init });
}

function bundleOf(path: string): Buffer {
  return gzipSync(packCodeLayer([{ path, data: Buffer.from('def handler(e, c): return e') }]).tar);
}

describe('a deploy', () => {
  test('makes version 1, and the same again makes no other', async () => {
    const first = await put('hello', hello);
    expect(first.status).toBe(201);
    const deployed = deployedFunctionSchema.parse(await first.json());
    expect(deployed).toMatchObject({ name: 'hello', version: 1, runtime: 'node', handler: 'index.handler' });
    expect(deployed.digest).toMatch(/^sha256:[0-9a-f]{64}$/);

    const again = await put('hello', hello);
    expect(again.status).toBe(200);
    expect(await again.json()).toEqual(deployed);
  });

  test('of other settings makes another version, which the name then points at', async () => {
    await put('hello', hello);
    expect(await (await put('hello', { ...hello, env: { A: '1' } })).json()).toMatchObject({ version: 2 });
    expect(await (await put('hello', { ...hello, limits: { wallMs: 5 } })).json()).toMatchObject({
      version: 3,
    });
    const record = functionRecordSchema.parse(
      await (await gateway.app.request('/v1/functions/hello')).json(),
    );
    expect(record.current).toBe(3);
    expect(record.versions.map(({ version, env, limits }) => ({ version, env, limits }))).toEqual([
      { version: 1, env: {}, limits: {} },
      { version: 2, env: { A: '1' }, limits: {} },
      { version: 3, env: {}, limits: { wallMs: 5 } },
    ]);
  });

  test('takes a tar.gz as base64 and as the body itself', async () => {
    const targz = bundleOf('app.py');
    const asJson = await put('a', {
      runtime: 'python',
      handler: 'function/app.handler',
      bundle: targz.toString('base64'),
    });
    expect([asJson.status, await asJson.json()]).toMatchObject([201, { runtime: 'python' }]);
    const asBody = await gateway.app.request('/v1/functions/b?runtime=python&handler=function/app.handler', {
      method: 'PUT',
      headers: { 'content-type': 'application/gzip' },
      body: targz,
    });
    expect([asBody.status, await asBody.json()]).toMatchObject([201, { name: 'b', runtime: 'python' }]);
  });

  test.each([
    ['a handler whose file is not there', { handler: 'main.handler' }, 'handler'],
    ['a handler of another language', { runtime: 'python' }, 'handler'],
    ['a handler that is no path', { handler: 'handler' }, 'handler'],
    ['no handler', { handler: undefined }, 'handler'],
    ['a runtime without handlers', { runtime: 'bash' }, 'runtime'],
    ['no files', { files: undefined }, 'files'],
    ['a path given twice', { files: [hello.files[0], hello.files[0]] }, 'files.1.path'],
    [
      'a file below a file',
      { files: [hello.files[0], { path: 'index.mjs/x', content: '' }] },
      'files.0.path',
    ],
    ['a whiteout', { files: [hello.files[0], { path: 'a/.wh.b', content: '' }] }, 'files.1.path'],
    ['files and a bundle', { bundle: 'AAAA' }, 'bundle'],
    ['a bundle that is no tar.gz', { files: undefined, bundle: 'AAAA' }, 'bundle'],
    ['a bundle that is no base64', { files: undefined, bundle: '%' }, 'bundle'],
    ['a limit out of range', { limits: { pids: 0 } }, 'limits.pids'],
    ['an image that is no reference', { image: '-' }, 'image'],
    ['code and no runtime', { image: 'node', runtime: undefined }, 'runtime'],
    ['code and no handler', { image: 'node', handler: undefined }, 'handler'],
    ['settings and no code', { image: 'node', files: undefined }, 'files'],
  ])('with %s is refused', async (_, change, field) => {
    const response = await put('hello', { ...hello, ...change });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { code: 'invalid_request', field } },
    ]);
    expect(await redis.redis.keys('*function*')).toEqual([]);
  });

  test.each(['_hello', 'a.b', '-a', 'a'.repeat(65), '%20'])('under the name %s is refused', async (name) => {
    const response = await put(name, hello);
    expect([response.status, await response.json()]).toMatchObject([400, { error: { field: 'name' } }]);
  });

  test('with a bundle over the size limit is a 413', async () => {
    const response = await gateway.app.request('/v1/functions/big?runtime=node&handler=index.handler', {
      method: 'PUT',
      headers: { 'content-type': 'application/gzip' },
      body: Buffer.alloc(70_000),
    });
    expect([response.status, await response.json()]).toMatchObject([
      413,
      { error: { code: 'body_too_large' } },
    ]);
  });
});

test('functions are listed by name, read and deleted', async () => {
  await put('b', hello);
  await put('a', hello);
  const list = (await (await gateway.app.request('/v1/functions')).json()) as {
    functions: { name: string }[];
  };
  expect(list.functions.map((item) => item.name)).toEqual(['a', 'b']);
  expect((await gateway.app.request('/v1/functions/a', { method: 'DELETE' })).status).toBe(204);
  for (const method of ['GET', 'DELETE']) {
    const response = await gateway.app.request('/v1/functions/a', { method });
    expect([response.status, await response.json()]).toMatchObject([
      404,
      { error: { code: 'function_not_found' } },
    ]);
  }
  expect((await gateway.app.request('/v1/functions/b')).status).toBe(200);
});
