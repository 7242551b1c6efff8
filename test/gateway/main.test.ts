import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const main = fileURLToPath(new URL('../../build/gateway.mjs', import.meta.url));

async function startGateway(serviceId: number) {
  const child = fork(main, {
    env: {
      PATH: process.env.PATH,
      ONCEBOX_PORT: '0',
      ONCEBOX_REDIS_URL: redis.url,
      ONCEBOX_LOG_LEVEL: 'warn',
      ONCEBOX_SERVICE_ID: String(serviceId),
    },
  });
  const exited = once(child, 'exit');
  const [message] = (await Promise.race([
    once(child, 'message'),
    exited.then(([code]) => Promise.reject(new Error(`the gateway exited with ${code}`))),
  ])) as [{ type: string; port: number }];
  return { child, exited, message };
}

test('the process says its port, serves as an ordinary user, and leaves with 0 on SIGTERM', async () => {
  const serviceId = 1_879_113_728;
  if (process.getuid?.() === 0) {
    const socket = new URL(redis.url).pathname;
    await chmod(socket, 0o777);
    await chmod(dirname(socket), 0o755);
  }
  const { child, exited, message } = await startGateway(serviceId);
  expect(message.type).toBe('listening');
  expect((await fetch(`http://127.0.0.1:${message.port}/healthz`)).status).toBe(200);
  expect((await fetch(`http://127.0.0.1:${message.port}/readyz`)).status).toBe(503);
  if (process.getuid?.() === 0) {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:(\\s+${serviceId + 1}){4}$`, 'm'));
    expect(status).toMatch(new RegExp(`^Gid:(\\s+${serviceId}){4}$`, 'm'));
    expect(status).toMatch(/^Groups:\s*$/m);
    expect(status).toMatch(/^CapEff:\s+0+$/m);
  } else {
    expect((await stat(`/proc/${child.pid}`)).uid).toBe(process.getuid?.());
  }
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

test('the process leaves when its parent hangs up', async () => {
  // After two seconds it leaves in any case, as a busy machine may make it: one of them comes to an orderly end.
  await vi.waitFor(async () => {
    const { child, exited } = await startGateway(1_879_113_728);
    child.disconnect();
    expect(await exited).toEqual([0, null]);
  }, 150_000);
});
