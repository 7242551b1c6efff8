import { expect, test, vi } from 'vitest';
import { OnceboxError } from '../../sdk/client.ts';
import { netMs, useFaultyPlatform } from './use-platform.ts';

const used = useFaultyPlatform();
const limits = { wallMs: 120_000 };
const second = { runtime: 'node', code: 'setTimeout(() => console.log("end"), 1000)', limits } as const;
const seconds = { ...second, code: 'setTimeout(() => console.log("end"), 10000)' };

test('what Redis has taken is not lost with it: what runs ends well, what waits is run, who waits is told', async () => {
  const waiting = Array.from({ length: 40 }, () => used.client.run(second));
  const accepted = await Promise.all(Array.from({ length: 40 }, () => used.client.runAsync(second)));
  const id = await used.start(seconds);
  used.kill('redis');
  expect((await Promise.all(waiting)).map(({ outcome }) => outcome?.status)).toEqual(waiting.map(() => 'ok'));
  for (const one of [{ id }, ...accepted])
    expect((await used.finished(one.id)).outcome).toEqual({ status: 'ok' });
}, 400_000);

test('without Redis a request is refused with 503 after seconds, and with its return served again', async () => {
  // Stopped is worse than gone: nobody closes the connection.
  process.kill(used.pidOf('redis'), 'SIGSTOP');
  const sentAt = performance.now();
  const error = await used.client.run(second).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(OnceboxError);
  expect(error).toMatchObject({ status: 503, code: 'unavailable' });
  expect(performance.now() - sentAt).toBeLessThan(60_000);
  // It is killed for standing still, and started again.
  await used.serves();
});

test('worker and Redis killed at once: what ran is lost, what waited is run', async () => {
  const forever = { runtime: 'bash', code: 'sleep 600', limits: { wallMs: 600_000 } } as const;
  const id = await used.start(forever);
  used.kill('worker');
  used.kill('redis');
  await vi.waitFor(() => used.client.nodes(), { timeout: netMs, interval: 50 });
  expect((await used.finished(id)).outcome?.status).toBe('lost');
  await used.serves();
});
