import { expect, test, vi } from 'vitest';
import { netMs, useFaultyPlatform } from './use-platform.ts';

const used = useFaultyPlatform();

test('a gateway that is killed breaks the connections of its clients, and what they started ends once', async () => {
  const { client, platform } = used;
  const broken = client
    .run({
      ...{ runtime: 'node', code: 'setTimeout(() => console.log("end"), 15000)' },
      limits: { wallMs: 120_000 },
    })
    .then(() => 'answered')
    .catch((error: Error) => error.name);
  const id = await vi.waitFor(
    async () => {
      const found = (await client.sandboxes()).sandboxes.find(({ invocationId }) => invocationId);
      expect(found).toBeDefined();
      return found?.invocationId ?? '';
    },
    { timeout: netMs, interval: 20 },
  );
  used.kill('gateway');
  expect(await broken).not.toBe('answered');
  await used.serves();
  expect(await used.finished(id)).toMatchObject({ outcome: { status: 'ok' }, stdout: 'end\n' });
  const starts = platform.workerLines.filter(
    (line) => line.includes('program handed over') && line.includes(id),
  );
  expect(starts).toHaveLength(1);
});

test('a gateway that stands still is replaced by one at the same address', async () => {
  const pid = used.pidOf('gateway');
  process.kill(pid, 'SIGSTOP');
  await vi.waitFor(() => expect(used.platform.pids().gateway).not.toBe(pid), {
    timeout: netMs,
    interval: 100,
  });
  await used.serves();
});
