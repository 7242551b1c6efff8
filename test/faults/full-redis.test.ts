import { expect, onTestFinished, test, vi } from 'vitest';
import { OnceboxError } from '../../sdk/client.ts';
import { patient } from '../support/limits.ts';
import { fillRedisOf } from './kinds/fill-redis.ts';
import { netMs, useFaultyPlatform } from './use-platform.ts';

const MiB = 1024 * 1024;
const used = useFaultyPlatform({
  settings: { ONCEBOX_REDIS_MEMORY_BYTES: String(32 * MiB), ONCEBOX_CONCURRENCY: '2' },
});

test('a full Redis refuses new invocations, takes the results of those that run, and serves when it has memory', async () => {
  // It ends while its job's lock holds: without memory for a new one, its result waits.
  const id = await used.start({
    ...{ runtime: 'node', code: 'setTimeout(() => console.log("end"), 5000)' },
    limits: { wallMs: 120_000 },
  });
  const empty = await fillRedisOf(used.platform);
  const error = await used.client.runAsync({ runtime: 'bash', code: 'echo 1' }).catch((reason) => reason);
  expect(error).toBeInstanceOf(OnceboxError);
  expect(error).toMatchObject({
    status: 503,
    code: 'unavailable',
    message: expect.stringContaining('memory'),
  });
  expect(await used.finished(id)).toMatchObject({ outcome: { status: 'ok' }, stdout: 'end\n' });
  await empty();
  await used.serves();
});

test('a queue larger than the memory of Redis is refused before that is full, and runs', async () => {
  // Both places are taken until it is refused: who is quicker at running than this is at sending would empty it.
  const forever = { runtime: 'bash', code: 'sleep 600', limits: { wallMs: 600_000 } } as const;
  const holders: string[] = [];
  onTestFinished(async () => {
    for (const id of holders) await used.client.cancel(id).catch(() => {}); // most often it is over
  });
  for (let place = 0; place < 2; place++) holders.push(await used.start(forever));
  const request = { runtime: 'bash' as const, code: 'wc -c', stdin: 'x'.repeat(2 * MiB), limits: patient };
  const accepted: string[] = [];
  let refused: unknown;
  while (refused === undefined && accepted.length < 40) {
    try {
      accepted.push((await used.client.runAsync(request)).id);
    } catch (error) {
      refused = error;
    }
  }
  expect(refused).toMatchObject({
    status: 503,
    code: 'unavailable',
    message: expect.stringContaining('memory'),
  });
  for (const id of holders) await used.client.cancel(id);
  for (const id of accepted) {
    const record = await used.finished(id).catch((error: unknown) => error);
    // Its record may have given way to what came after it.
    if (record instanceof OnceboxError) expect(record.code).toBe('invocation_not_found');
    else expect(record).toMatchObject({ outcome: { status: 'ok' } });
  }
  await used.serves();
}, 400_000);

test('records of the past give way to new invocations', async () => {
  const code = 'head -c 900000 /dev/zero | tr "\\\\0" x';
  const chatty = { runtime: 'bash' as const, code, limits: patient };
  for (let run = 0; run < 45; run++) {
    const { outcome } = await vi.waitFor(() => used.client.run(chatty), { timeout: netMs, interval: 100 });
    expect(outcome).toEqual({ status: 'ok' });
  }
}, 400_000);
