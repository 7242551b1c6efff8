import { expect, test, vi } from 'vitest';
import { OnceboxError } from '../../sdk/client.ts';
import { fillDiskOf } from './kinds/fill-disk.ts';
import { netMs, useFaultyPlatform } from './use-platform.ts';

const used = useFaultyPlatform({ diskBytes: 64 * 1024 * 1024 });

test('on a full disk new invocations are refused, what runs ends well, and all goes on when there is room', async () => {
  const id = await used.start({
    ...{ runtime: 'node', code: 'setTimeout(() => console.log("end"), 10000)' },
    limits: { wallMs: 120_000 },
  });
  const empty = await fillDiskOf(used.platform);
  const error = await vi.waitFor(
    async () => {
      const refused = await used.client
        .runAsync({ runtime: 'bash', code: 'echo 1' })
        .catch((reason) => reason);
      expect(refused).toBeInstanceOf(OnceboxError);
      return refused;
    },
    { timeout: netMs, interval: 20 },
  );
  expect(error).toMatchObject({ status: 503, code: 'unavailable', message: expect.stringContaining('disk') });
  // Its result finds no room for longer than its lock holds.
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  await empty();
  expect(await used.finished(id)).toMatchObject({ outcome: { status: 'ok' }, stdout: 'end\n' });
  await used.serves();
});
