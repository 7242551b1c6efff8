import { expect, test, vi } from 'vitest';
import { netMs, useFaultyPlatform } from './use-platform.ts';

const used = useFaultyPlatform();
const died = 'its worker died, or was cut off from the queue';
const limits = { wallMs: 600_000 };
const forever = { runtime: 'node', code: 'setInterval(() => {}, 1000)', limits } as const;

test('what a killed worker ran is lost as soon as the next one runs, and the callers who wait are told', async () => {
  const waiting = used.client.run(forever);
  const id = await used.start(forever);
  await vi.waitFor(
    async () => {
      const { sandboxes } = await used.client.sandboxes();
      expect(sandboxes.filter(({ invocationId }) => invocationId !== undefined)).toHaveLength(2);
    },
    { timeout: netMs, interval: 50 },
  );
  used.kill('worker');
  expect(await used.finished(id)).toMatchObject({
    outcome: { status: 'lost', reason: died },
  });
  expect((await waiting).outcome).toEqual({ status: 'lost', reason: died });
  await used.serves();
});

test('a worker that stands still is replaced, and what it ran is lost', async () => {
  const id = await used.start(forever);
  process.kill(used.pidOf('worker'), 'SIGSTOP');
  expect(await used.finished(id)).toMatchObject({
    outcome: { status: 'lost', reason: died },
  });
  await used.serves();
  expect(used.platform.events.some((text) => text.startsWith('worker has not moved for'))).toBe(true);
});

test('what waited while there was no worker is run by the next one', async () => {
  used.kill('worker');
  const { outcome } = await used.client.run({ runtime: 'bash', code: 'echo 1' });
  expect(outcome).toEqual({ status: 'ok' });
});
