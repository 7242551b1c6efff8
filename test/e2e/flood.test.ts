import { readFile } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { patient } from '../support/limits.ts';
import { usePlatform } from '../support/use-platform.ts';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const running = usePlatform();

test('floods of 16 MiB on both outputs at once cost gateway and worker a bounded memory', {
  timeout: 300_000,
}, async () => {
  const peaks = { gateway: 0, worker: 0 };
  const pids = running.platform.pids();
  const watching = setInterval(async () => {
    for (const part of ['gateway', 'worker'] as const)
      peaks[part] = Math.max(peaks[part], await residentBytes(pids[part]));
  }, 100);
  const flood = () =>
    running.client.run({
      runtime: 'bash',
      code: 'yes out & yes err >&2; wait',
      limits: { stdoutBytes: 16 * MiB, stderrBytes: 16 * MiB, ...patient },
    });
  const ended = await Promise.all(Array.from({ length: 10 }, flood));
  clearInterval(watching);
  for (const { stdout, stderr } of ended) {
    expect(stdout.length).toBeLessThanOrEqual(16 * MiB);
    expect(stderr.length).toBeLessThanOrEqual(16 * MiB);
  }
  // Without its room for output the worker holds them all at once, several times over.
  expect(peaks.worker).toBeGreaterThan(0);
  expect(peaks.worker).toBeLessThan(2.5 * GiB);
  expect(peaks.gateway).toBeLessThan(1.5 * GiB);
  expect(running.platform.pids()).toEqual(pids);
  await vi.waitFor(
    async () =>
      expect((await running.client.run({ runtime: 'bash', code: 'echo here' })).stdout).toBe('here\n'),
    { timeout: 60_000, interval: 500 },
  );
});

async function residentBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}
