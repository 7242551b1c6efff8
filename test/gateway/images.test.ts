import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { StoreError } from '../../runtime/image/store-error.ts';
import { createClient } from '../../sdk/client.ts';
import type { ImageEvent } from '../../sdk/contract/image.ts';
import { type GatewayServer, listen } from '../../services/gateway/server.ts';
import { gate, useGateway } from '../support/gateway.ts';
import { nodeImage } from '../support/images.ts';
import { stored, summary, useNodeApi } from '../support/node-api.ts';
import { useRedis } from '../support/redis.ts';

const directory = mkdtempSync(join(tmpdir(), 'oncebox-test-gateway-'));
mkdirSync(join(directory, 'run'));
afterAll(() => rmSync(directory, { recursive: true }));
const gateway = useGateway(useRedis(), {
  ONCEBOX_DATA_DIR: directory,
  ONCEBOX_IMAGE_MAX_BYTES: '2000000',
});
const node = useNodeApi(() => join(directory, 'run', 'node.sock'));
let server: GatewayServer;
let url: string;
beforeEach(async () => {
  server = await listen(gateway.app, { host: '127.0.0.1', port: 0 });
  gateway.undo.push(() => server.close(0));
  url = `http://127.0.0.1:${server.port}`;
});

const call = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(url + path, init);
  return { status: response.status, body: await response.json() };
};
const post = (path: string, body: unknown) =>
  call(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
const client = () => createClient(url);

describe('requests are checked and reach the store', () => {
  test('those that only ask', async () => {
    expect(await client().images()).toHaveLength(2);
    expect((await call('/v1/images/inspect?reference=app')).body).toMatchObject({ digest: stored.digest });
    expect((await call('/v1/images/history?reference=app')).body).toEqual({ history: [] });
    expect((await call('/v1/images/df')).body).toEqual({
      freeBytes: 1,
      sandboxes: { count: 2, bytes: 5, reclaimableBytes: 0 },
    });
    expect(node.calls).toEqual([['inspect', 'app'], ['history', 'app'], ['diskUsage']]);
  });

  test('those that change something, after which gateways know', async () => {
    expect(await client().tagImage('app', 'other')).toEqual(summary);
    expect((await call('/v1/images?reference=app&force=true', { method: 'DELETE' })).status).toBe(200);
    expect((await call('/v1/images?reference=app', { method: 'DELETE' })).status).toBe(200);
    expect((await client().pruneImages()).freedBytes).toBe(3);
    expect(node.calls).toEqual([
      ['tag', 'app', 'other'],
      ['announced'],
      ['remove', 'app', { force: true }],
      ['announced'],
      ['remove', 'app', { force: false }],
      ['announced'],
      ['prune'],
      ['announced'],
    ]);
  });

  test.each([
    ['POST', '/v1/images', { reference: '-' }, 'reference'],
    ['POST', '/v1/images', { reference: 'a', insecure: 1 }, 'insecure'],
    ['POST', '/v1/images', { reference: 'a', auth: { username: '' } }, 'auth.username'],
    ['POST', '/v1/images/tag', { source: 'a' }, 'target'],
    ['POST', '/v1/images/push', { source: 'a', target: 'b', tls: false }, 'tls'],
    ['POST', '/v1/images/import?referense=a', undefined, 'referense'],
    ['POST', '/v1/images/build', undefined, 'reference'],
    ['POST', '/v1/images/build?reference=a&args=x', undefined, 'args'],
    ['GET', '/v1/images/inspect', undefined, 'reference'],
    ['GET', '/v1/images/history?reference=', undefined, 'reference'],
    ['DELETE', '/v1/images?reference=a&force=maybe', undefined, 'force'],
  ])('%s %s with %o is refused', async (method, path, body, field) => {
    const headers = { 'content-type': 'application/json' };
    const reply = await call(path, { method, ...(body && { body: JSON.stringify(body), headers }) });
    expect(reply).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', field } } });
    expect(node.calls).toEqual([]);
  });
});

describe('a task', () => {
  test('is answered with the image when it is over', async () => {
    expect(await post('/v1/images', { reference: 'app' })).toEqual({ status: 200, body: summary });
    expect(node.calls).toEqual([['pull', { reference: 'app', insecure: false }], ['announced']]);
  });

  test.each([
    ['image_not_found', 404],
    ['invalid_image', 422],
    ['registry_failed', 502],
    ['storage_full', 507],
  ] as const)('that ends with %s is a %i with the reason', async (code, status) => {
    node.task = async () => {
      throw new StoreError(code, 'cannot pull: because');
    };
    const reply = await post('/v1/images', { reference: 'app' });
    expect(reply).toMatchObject({ status, body: { error: { code, message: 'cannot pull: because' } } });
    const events: ImageEvent[] = [];
    await expect(
      client().pullImage({ reference: 'app' }, { onEvent: (event) => events.push(event) }),
    ).rejects.toMatchObject({ code, status, message: 'cannot pull: because' });
    expect(events.at(-1)).toMatchObject({ type: 'error', error: { code } });
  });

  test('with a bug in it says no more than that', async () => {
    node.task = async () => {
      throw new TypeError('secret');
    };
    const reply = await post('/v1/images', { reference: 'app' });
    expect([reply.status, JSON.stringify(reply.body)]).toEqual([500, expect.not.stringContaining('secret')]);
    await expect(client().pullImage({ reference: 'app' })).rejects.toMatchObject({ code: 'internal' });
  });

  test('tells its events while it runs, and the last says that it is done', async () => {
    const seen = gate();
    node.task = async ({ onEvent }) => {
      onEvent({ type: 'step', step: 'resolve', subject: 'app' });
      onEvent({ type: 'progress', doneBytes: 1, totalBytes: 2 });
      await seen.opened;
      return stored;
    };
    const events: ImageEvent[] = [];
    const pulled = await client().pullImage(
      { reference: 'app' },
      {
        onEvent(event) {
          events.push(event);
          if (event.type === 'progress') seen.open();
        },
      },
    );
    expect(pulled).toEqual(summary);
    expect(events).toEqual([
      { type: 'step', step: 'resolve', subject: 'app' },
      { type: 'progress', doneBytes: 1, totalBytes: 2 },
      { type: 'done', image: summary },
    ]);
  });

  test('tells a slow reader only the latest of its counts', async () => {
    node.task = async ({ onEvent }) => {
      for (let doneBytes = 0; doneBytes < 200_000; doneBytes++)
        onEvent({ type: 'progress', doneBytes, totalBytes: null });
      return stored;
    };
    const events: ImageEvent[] = [];
    await client().pullImage({ reference: 'app' }, { onEvent: (event) => events.push(event) });
    expect(events.length).toBeLessThan(100);
    expect(events.at(-2)).toMatchObject({ doneBytes: 199_999 });
  });

  test.each(['application/x-ndjson', 'application/json'])(
    'is aborted when its caller, who accepts %s, hangs up',
    async (accept) => {
      const [started, aborted] = [gate(), gate()];
      node.task = ({ signal, onEvent }) =>
        new Promise((_, reject) => {
          onEvent({ type: 'step', step: 'download', subject: 'x' });
          started.open();
          signal.addEventListener('abort', () => {
            aborted.open();
            reject(signal.reason);
          });
        });
      const leaving = new AbortController();
      const reply = fetch(`${url}/v1/images`, {
        method: 'POST',
        headers: { accept, 'content-type': 'application/json' },
        body: '{"reference":"app"}',
        signal: leaving.signal,
      }).then((response) => response.text());
      const left = expect(reply).rejects.toThrow();
      await started.opened;
      leaving.abort();
      await aborted.opened;
      await left;
    },
  );
});

describe('an upload', () => {
  const read = async (body: Readable | undefined) => {
    let size = 0;
    for await (const chunk of body ?? []) size += chunk.length;
    return size;
  };

  test('is streamed to the store', async () => {
    let size = 0;
    const first = gate();
    node.task = async (_, body) => {
      for await (const chunk of body ?? []) {
        size += chunk.length;
        first.open();
      }
      return stored;
    };
    async function* archive() {
      yield Buffer.alloc(1_000_000);
      // The store has the beginning before there is an end.
      await first.opened;
      yield Buffer.alloc(500_000);
    }
    expect(await client().importImage(Readable.from(archive()), { reference: 'app:1' })).toEqual(summary);
    expect(size).toBe(1_500_000);
    expect(node.calls[0]).toEqual(['import', { reference: 'app:1' }]);
  });

  test('of a build context carries its options', async () => {
    node.task = async (_, body) => {
      expect(await read(body)).toBe(3);
      return stored;
    };
    await client().buildImage(new Uint8Array(3), { reference: 'app', target: 'last', args: { A: 'b c' } });
    expect(node.calls[0]).toEqual([
      'build',
      { reference: 'app', dockerfile: 'Dockerfile', target: 'last', args: { A: 'b c' } },
    ]);
  });

  test('that is too large is a 413, announced or not', async () => {
    node.task = async (_, body) => {
      await read(body);
      return stored;
    };
    const path = '/v1/images/import';
    const body = new Uint8Array(2_000_001);
    const announced = await call(path, { method: 'POST', body });
    expect(announced).toMatchObject({ status: 413, body: { error: { code: 'body_too_large' } } });
    const streamed = await call(path, {
      method: 'POST',
      body: new ReadableStream({
        start(controller) {
          for (let n = 0; n < 3; n++) controller.enqueue(new Uint8Array(1_000_000));
          controller.close();
        },
      }),
      duplex: 'half',
    } as RequestInit);
    expect(streamed).toMatchObject({ status: 413, body: { error: { code: 'body_too_large' } } });
  });

  test('that the store gives up early is answered with its reason', async () => {
    node.task = async () => {
      throw new StoreError('invalid_image', 'not an archive');
    };
    const reply = await call('/v1/images/import', { method: 'POST', body: new Uint8Array(1_900_000) });
    expect(reply).toMatchObject({ status: 422, body: { error: { message: 'not an archive' } } });
  });

  test('whose sender hangs up ends for the store too', async () => {
    const [started, failed] = [gate(), gate()];
    node.task = async (_, body) => {
      started.open();
      await read(body).catch(() => failed.open());
      throw new Error('cut');
    };
    const leaving = new AbortController();
    async function* archive() {
      yield Buffer.alloc(1000);
      await delay(600_000, undefined, { signal: leaving.signal }).catch(() => {});
    }
    const reply = client().importImage(Readable.from(archive()), { signal: leaving.signal });
    const left = expect(reply).rejects.toThrow();
    await started.opened;
    leaving.abort();
    await failed.opened;
    await left;
  });
});

describe('the push of a function', () => {
  beforeEach(async () => {
    await gateway.registry.deploy({
      name: 'hello',
      image: { ...nodeImage, reference: 'localhost/node:latest' },
      runtime: 'node',
      handler: 'index.handler',
      env: {},
      limits: {},
      files: [{ path: 'index.js', data: Buffer.from('') }],
    });
  });

  test('assembles the version and pushes it by its digest', async () => {
    const target = 'registry.example/team/hello:1';
    expect(await client().pushFunction('hello', { target, version: 1 })).toEqual(summary);
    expect(node.calls).toEqual([
      ['assemble', 'hello', 1],
      ['push', { source: stored.digest, target, insecure: false }],
      ['announced'],
    ]);
  });

  test('of a function that is not there is a 404 before anything is done', async () => {
    const reply = await post('/v1/functions/nothing/push', { target: 'registry.example/a' });
    expect(reply).toMatchObject({ status: 404, body: { error: { code: 'function_not_found' } } });
    expect(node.calls).toEqual([]);
  });
});

test('without a node on this machine images are unavailable', async () => {
  await node.close();
  expect(await call('/v1/images')).toMatchObject({
    status: 503,
    body: { error: { code: 'unavailable', message: expect.stringContaining('no node') } },
  });
  const reply = await call('/v1/images/import', { method: 'POST', body: new Uint8Array(100_000) });
  expect(reply.status).toBe(503);
});
