import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { listen } from '../../services/gateway/server.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const testRedis = useRedis();
const ours = 'https://app.example.org';
const foreign = 'https://evil.example';

type Gateway = ReturnType<typeof useGateway>;

/** Over HTTP, as `fetch` lets nobody choose Host and Origin; with `body` it is a POST. */
async function serve({ app }: Gateway) {
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close(0));
  const own = `127.0.0.1:${server.port}`;
  return {
    own,
    async send(path: string, headers: Record<string, string>, body?: string) {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const method = body === undefined ? 'GET' : 'POST';
        const common = { port: server.port, host: '127.0.0.1', path, method, agent: false };
        request({ ...common, headers: { host: own, ...headers } }, resolve)
          .once('error', reject)
          .end(body);
      });
      const reply = JSON.parse((await text(response)) || 'null');
      return { status: response.statusCode, code: reply?.error?.code, field: reply?.error?.field };
    },
  };
}

const refused = { status: 403, code: 'forbidden' };
const json = { 'content-type': 'application/json' };
const snippet = '{"runtime":"bash","code":"","stdin":1}';
/** It was read: what is wrong is found in it. */
const taken = { status: 400, code: 'invalid_request', field: 'stdin' };

describe('where no keys are asked for', () => {
  const gateway = useGateway(testRedis);

  test('a page of another origin neither runs nor reads anything', async () => {
    const { send, own } = await serve(gateway);
    for (const origin of [
      foreign,
      'null',
      '',
      `${foreign}, http://${own}`,
      `http://${own}.evil.example`,
      'http://127.0.0.1:1',
    ]) {
      expect(await send('/v1/run', { origin, ...json }, snippet), origin).toMatchObject(refused);
      expect(await send('/v1/run', { origin, 'content-type': 'text/plain' }, snippet)).toMatchObject(refused);
      expect(await send('/v1/functions', { origin }), origin).toMatchObject(refused);
      expect(await send('/fn/hello', { origin }, 'x'), origin).toMatchObject(refused);
      expect(await send('/v1/images/import', { origin }, 'x'), origin).toMatchObject(refused);
    }
  });

  test('its own page may, and programs, which have no origin', async () => {
    const { send, own } = await serve(gateway);
    expect(await send('/v1/run', json, snippet)).toMatchObject(taken);
    for (const host of [own, 'localhost', 'localhost:8080', '[::1]:8080'])
      expect(await send('/v1/run', { origin: `http://${host}`, host, ...json }, snippet), host).toMatchObject(
        taken,
      );
  });

  test('a name of elsewhere that resolves to a loopback address opens nothing', async () => {
    const { send } = await serve(gateway);
    for (const host of [
      'evil.example',
      'evil.example:8080',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
      'xlocalhost',
    ]) {
      expect(await send('/v1/functions', { host }), host).toMatchObject(refused);
      expect(await send('/v1/run', { host, origin: `http://${host}`, ...json }, snippet), host).toMatchObject(
        refused,
      );
    }
  });

  test("every name of this machine's own does", async () => {
    const { send } = await serve(gateway);
    for (const host of [
      'localhost',
      'LOCALHOST:1',
      'localhost.',
      'app.localhost:3000',
      '127.0.0.1',
      '127.8.9.1:80',
      '[::1]',
    ])
      expect(await send('/v1/functions', { host }), host).toMatchObject({ status: 200 });
  });

  test('what says nothing is told to all: health checks come by any name', async () => {
    const { send } = await serve(gateway);
    for (const path of ['/healthz', '/openapi.json'])
      expect(await send(path, { host: 'evil.example', origin: foreign }), path).toMatchObject({
        status: 200,
      });
  });

  test('what no page sends is JSON by its text, as curl calls it a form', async () => {
    const { send } = await serve(gateway);
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'application/json'])
      expect(await send('/v1/run', { 'content-type': type }, snippet), type).toMatchObject(taken);
  });
});

describe('with origins that may call', () => {
  const gateway = useGateway(testRedis, { ONCEBOX_CORS_ORIGINS: `${ours}, http://localhost:3000` });

  test('those may, also by a name of theirs, and others may not', async () => {
    const { send } = await serve(gateway);
    expect(await send('/v1/run', { origin: ours, ...json }, snippet)).toMatchObject(taken);
    expect(await send('/v1/functions', { host: 'app.example.org' })).toMatchObject({ status: 200 });
    expect(await send('/v1/run', { origin: foreign, ...json }, snippet)).toMatchObject(refused);
    expect(await send('/v1/functions', { host: 'example.org' })).toMatchObject(refused);
  });
});

describe('with all origins', () => {
  const gateway = useGateway(testRedis, { ONCEBOX_CORS_ORIGINS: '*' });

  test('every page may call, by any name', async () => {
    const { send } = await serve(gateway);
    expect(await send('/v1/run', { origin: foreign, host: 'evil.example', ...json }, snippet)).toMatchObject(
      taken,
    );
  });
});

describe('open on another address than loopback', () => {
  const gateway = useGateway(testRedis, { ONCEBOX_HOST: '0.0.0.0', ONCEBOX_AUTH: 'open' });

  test('it may have any name; pages of other origins may not call', async () => {
    const { send } = await serve(gateway);
    expect(await send('/v1/functions', { host: 'box.example.org' })).toMatchObject({ status: 200 });
    const own = { host: 'box.example.org', origin: 'http://box.example.org' };
    expect(await send('/v1/run', { ...own, ...json }, snippet)).toMatchObject(taken);
    expect(await send('/v1/run', { ...own, origin: foreign, ...json }, snippet)).toMatchObject(refused);
  });
});

describe('where keys are asked for', () => {
  const gateway = useGateway(testRedis, { ONCEBOX_AUTH: 'required' });

  test('the key decides, and neither origin nor name', async () => {
    const { send } = await serve(gateway);
    const headers = { origin: foreign, host: 'box.example.org', ...json };
    expect(await send('/v1/run', headers, snippet)).toMatchObject({ status: 401 });
  });
});
