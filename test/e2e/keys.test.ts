import { readFile, rm, stat } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createdKeySchema } from '../../sdk/contract/key.ts';
import type { Config } from '../../services/shared/config.ts';
import { deployExample, examples, invokeExample } from '../../services/up/examples.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { testConfig } from '../support/platform.ts';

/** A platform that asks for keys, and all that it logs. */
let config: Config;
let platform: Platform;
const lines: string[] = [];

beforeAll(async () => {
  config = { ...(await testConfig()), ONCEBOX_AUTH: 'required', needsKeys: true, ONCEBOX_LOG_LEVEL: 'trace' };
  platform = await start();
});
afterAll(async () => {
  await platform.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

function start(): Promise<Platform> {
  return startPlatform(config, { log: { step() {}, event() {}, line: (_, line) => lines.push(line) } });
}

function ask(path: string, key: string | undefined, method = 'GET', body?: unknown): Promise<Response> {
  return fetch(platform.url + path, {
    method,
    headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

test('the first start makes the admin key, which only root can read and the next start keeps', async () => {
  const file = await readFile(config.adminKeyFile, 'utf8');
  expect(file.trim()).toBe(platform.adminKey);
  expect((await stat(config.adminKeyFile)).mode & 0o777).toBe(0o600);
  await platform.close();
  platform = await start();
  expect(await readFile(config.adminKeyFile, 'utf8')).toBe(file);
  expect((await ask('/v1/keys', platform.adminKey)).status).toBe(200);
  expect((await ask('/v1/keys', undefined)).status).toBe(401);
});

test('with its key a function is deployed and called, and neither user code nor the worker sees a key', async () => {
  await deployExample(platform.url, examples[0], platform.adminKey);
  expect((await invokeExample(platform.url, examples[0], platform.adminKey)).result).toContain('Hello');
  const created = await ask('/v1/keys', platform.adminKey, 'POST', { name: 'a', scopes: ['invoke'] });
  const { key } = createdKeySchema.parse(await created.json());
  const code = 'cat /proc/self/environ /proc/1/environ; env; cat';
  const response = await ask('/v1/run', key, 'POST', { runtime: 'bash', code, stdin: 'read' });
  const record = await response.text();
  expect(JSON.parse(record).stdout).toContain('PATH=');
  // Who made the key and who ran the program log in their own time.
  await vi.waitFor(() => {
    expect(lines.join('\n')).toContain('"msg":"key created"');
    expect(lines.join('\n')).toContain(`"invocationId":"${JSON.parse(record).id}"`);
  }, 60_000);
  for (const secret of [key, platform.adminKey ?? '']) {
    expect(secret).toMatch(/^ocb_/);
    expect(record).not.toContain(secret);
    expect(lines.join('\n')).not.toContain(secret);
  }
  const [worker, gateway] = await Promise.all(
    [platform.pids().worker, platform.pids().gateway].map((pid) => readFile(`/proc/${pid}/environ`, 'utf8')),
  );
  expect(gateway).toContain(platform.adminKey);
  expect(worker).not.toContain(platform.adminKey);
});
