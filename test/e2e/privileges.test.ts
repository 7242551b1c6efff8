import { readFile, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Invocation } from '../../sdk/contract/invocation.ts';
import type { Config } from '../../services/shared/config.ts';
import { serviceIds } from '../../services/shared/service-ids.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { testConfig } from '../support/platform.ts';

let config: Config;
let platform: Platform;

beforeAll(async () => {
  config = await testConfig();
  platform = await startPlatform(config, { log: { step: () => {}, event: () => {}, line: () => {} } });
});
afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

async function idsOf(part: string) {
  const status = await readFile(`/proc/${platform.pids()[part]}/status`, 'utf8');
  const numbers = (name: string) =>
    new Set(new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/).map(Number));
  return {
    uids: [...numbers('Uid')],
    gids: [...numbers('Gid')],
    effective: /^CapEff:\s+(\w+)$/m.exec(status)?.[1],
  };
}

test('worker and gateway are two ordinary users, and only the launcher is root', async () => {
  const { worker, gateway } = serviceIds(config.ONCEBOX_SERVICE_ID);
  const none = '0'.repeat(16);
  expect(await idsOf('worker')).toEqual({ uids: [worker.uid], gids: [worker.gid], effective: none });
  expect(await idsOf('redis')).toEqual({ uids: [worker.uid], gids: [worker.gid], effective: none });
  expect(await idsOf('gateway')).toEqual({ uids: [gateway.uid], gids: [gateway.gid], effective: none });
  expect(gateway.uid).not.toBe(worker.uid);
  expect(await idsOf('launcher')).toMatchObject({ uids: [0] });
});

test('each socket lets in those who need it and nobody else', async () => {
  const modeOf = async (path: string) => {
    const { mode, uid, gid } = await stat(path);
    return { mode: (mode & 0o777).toString(8), uid, gid };
  };
  const { uid, gid } = serviceIds(config.ONCEBOX_SERVICE_ID).worker;
  expect(await modeOf(config.runDir)).toEqual({ mode: '710', uid, gid });
  expect(await modeOf(config.redisDir)).toEqual({ mode: '700', uid, gid });
  expect(await modeOf(join(config.runDir, 'launcher.sock'))).toEqual({ mode: '600', uid, gid: 0 });
  expect(await modeOf(join(config.runDir, 'redis.sock'))).toEqual({ mode: '770', uid, gid });
  expect(await modeOf(config.nodeSocket)).toEqual({ mode: '660', uid, gid });
});

test('through the gateway the node API answers, so the group is enough', async () => {
  const response = await fetch(`${platform.url}/v1/images`);
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ images: expect.any(Array) });
});

test('root itself is no worker to the launcher of a running platform', async () => {
  expect(process.getuid?.()).toBe(0);
  const socket = connect(join(config.runDir, 'launcher.sock'));
  const said = (await socket.toArray()).join('');
  expect(said).toContain('only the worker may connect');
});

test.each([
  [
    'bash',
    'cat /proc/self/environ /proc/1/environ 2>/dev/null; env; mount; cat /proc/self/mountinfo /proc/self/cgroup',
  ],
  ['python', 'import os; print(dict(os.environ)); print(open("/proc/self/mountinfo").read())'],
  ['node', 'console.log(process.env, require("fs").readFileSync("/proc/self/mountinfo", "utf8"))'],
])('%s code finds no setting of the services, no Redis and no path of the host', async (runtime, code) => {
  const response = await fetch(`${platform.url}/v1/run`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ runtime, code }),
  });
  const { stdout, outcome } = (await response.json()) as Invocation;
  expect(outcome).toEqual({ status: 'ok' });
  expect(stdout).toContain('HOME');
  // The control: the worker, outside, has them.
  const outside = await readFile(`/proc/${platform.pids().worker}/environ`, 'utf8');
  for (const secret of ['ONCEBOX_', 'redis.sock', config.ONCEBOX_DATA_DIR, config.storeDir]) {
    expect(outside).toContain(secret);
    expect(stdout).not.toContain(secret);
  }
});
