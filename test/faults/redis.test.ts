import { expect, test, vi } from 'vitest';
import { OnceboxError } from '../../sdk/client.ts';
import { useFaultyPlatform } from './use-platform.ts';

const used = useFaultyPlatform();
const second = { runtime: 'node', code: 'setTimeout(() => console.log("end"), 1000)' } as const;

test('what Redis has taken is not lost with it: what runs ends well, what waits is run, who waits is told', async () => {
  const waiting = Array.from({ length: 40 }, () => used.client.run(second));
  const accepted = await Promise.all(Array.from({ length: 40 }, () => used.client.runAsync(second)));
  await used.start(second);
  used.kill('redis');
  expect((await Promise.all(waiting)).map(({ outcome }) => outcome?.status)).toEqual(waiting.map(() => 'ok'));
  for (const { id } of accepted) expect((await used.finished(id, 30_000)).outcome).toEqual({ status: 'ok' });
});

test('without Redis a request is refused with 503 after seconds, and with its return served again', async () => {
  // Stopped is worse than gone: nobody closes the connection.
  process.kill(used.pidOf('redis'), 'SIGSTOP');
  const sentAt = performance.now();
  const error = await used.client.run(second).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(OnceboxError);
  expect(error).toMatchObject({ status: 503, code: 'unavailable' });
  expect(performance.now() - sentAt).toBeLessThan(15_000);
  // It is killed for standing still, and started again.
  await used.serves(40_000);
});

test('worker and Redis killed at once: what ran is lost, what waited is run', async () => {
  const forever = { runtime: 'bash', code: 'while :; do sleep 1; done', limits: { wallMs: 60_000 } } as const;
  const id = await used.start(forever);
  used.kill('worker');
  used.kill('redis');
  await vi.waitFor(() => used.client.nodes(), { timeout: 20_000, interval: 50 });
  expect((await used.finished(id, 30_000)).outcome?.status).toBe('lost');
  await used.serves();
});
