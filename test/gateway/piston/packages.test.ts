import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { useGateway } from '../../support/gateway.ts';
import { useRedis } from '../../support/redis.ts';

const directory = mkdtempSync(join(tmpdir(), 'oncebox-packages-'));
mkdirSync(join(directory, 'run'));
afterAll(() => rmSync(directory, { recursive: true }));
const gateway = useGateway(useRedis(), { ONCEBOX_DATA_DIR: directory });
const lua = { language: 'lua', version: '5.x' };

/** What the node of the gateway's machine is asked, and answers. */
async function node(answer: RequestListener): Promise<void> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(join(directory, 'run', 'node.sock'), resolve));
  onTestFinished(() => void server.close());
}

async function change(method: 'POST' | 'DELETE', body: object) {
  const response = await gateway.postJson('/api/v2/packages', body, { method });
  return { status: response.status, body: await response.json() };
}

test('a package is installed and removed by the node, by the name of its language', async () => {
  const asked: string[] = [];
  await node(({ method, url }, response) => {
    asked.push(`${method} ${url}`);
    if (method === 'DELETE') response.writeHead(204).end();
    else response.end(JSON.stringify({ name: 'lua', version: '5.4.6', aliases: [], installed: true }));
  });
  expect(await change('POST', lua)).toEqual({ status: 200, body: { language: 'lua', version: '5.4.6' } });
  const removed = { language: 'lua', version: expect.stringMatching(/^5\./) };
  expect(await change('DELETE', lua)).toEqual({ status: 200, body: removed });
  expect(asked).toEqual(['POST /v1/languages/lua', 'DELETE /v1/languages/lua']);
});

test('what the node refuses is told with its status', async () => {
  const error = { code: 'language_not_installed', message: 'cannot remove lua: it is not installed' };
  await node((_, response) => response.writeHead(409).end(JSON.stringify({ error })));
  expect(await change('DELETE', lua)).toEqual({ status: 409, body: { message: error.message } });
});

test('without a node that is said, too', async () => {
  expect(await change('POST', lua)).toMatchObject({ status: 503, body: { message: expect.any(String) } });
});
