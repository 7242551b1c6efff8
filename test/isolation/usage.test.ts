import { expect, test } from 'vitest';
import { untilLookedAt, useZones } from '../support/zones.ts';

const MiB = 1024 * 1024;
const { run } = useZones();

test('time in the program and in the kernel is told apart, and is all there is', async () => {
  const user = (await run('python', 'x = 0\nwhile x < 4_000_000: x += 1')).report;
  expect(user.cpuUserUsec + user.cpuSystemUsec).toBe(user.cpuUsec);
  expect(user.cpuUserUsec).toBeGreaterThan(user.cpuSystemUsec);
  const kernel = (
    await run('python', 'f = open("/dev/zero", "rb", 0)\nfor i in range(200): f.read(4 << 20)', {
      limits: { memoryBytes: 128 * MiB },
    })
  ).report;
  expect(kernel.cpuSystemUsec).toBeGreaterThan(kernel.cpuUserUsec);
});

test('time kept off the CPU by its cap is told; a program under it was not kept', async (context) => {
  expect((await run('python', 'pass')).report.throttledUsec).toBe(0);
  const spin = 'import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass';
  const isAlone = async () => (await run('python', spin)).report.runUsec < 300_000;
  const wasAlone = await isAlone();
  const capped = (await run('python', spin, { limits: { cpus: 0.1 } })).report;
  // Of a machine that is fought over it gets less than its cap, and nothing is kept from it.
  if (!wasAlone || !(await isAlone())) context.skip('the machine is too busy');
  expect(capped.throttledUsec).toBeGreaterThan(50_000);
});

test('the most processes at once are told where the kernel says', async () => {
  // They end when all have begun.
  const code =
    'import subprocess\np = [subprocess.Popen("cat", stdin=subprocess.PIPE) for i in range(6)]\nfor each in p: each.communicate()';
  const { pidsPeak } = (await run('python', code)).report;
  if (pidsPeak === undefined) return; // before Linux 6.9
  expect(pidsPeak).toBeGreaterThanOrEqual(7);
  expect(pidsPeak).toBeLessThan(12);
  expect((await run('python', 'pass')).report.pidsPeak).toBeLessThan(4);
});

test('written bytes are the most that was there, not what is left', async () => {
  const kept = (await run('bash', 'head -c 8M /dev/zero > f')).report;
  expect(kept.writtenBytes).toBeGreaterThanOrEqual(8 * MiB);
  expect(kept.writtenBytes).toBeLessThan(9 * MiB);
  const removed = 'head -c 8M /dev/zero > f; echo there; read -r; rm f';
  const after = (await run('bash', removed, { meanwhile: untilLookedAt })).report;
  expect(after.writtenBytes).toBeGreaterThanOrEqual(8 * MiB);
  const files = (await run('bash', 'for i in {1..500}; do : > f$i; done')).report;
  expect(files.writtenInodes).toBeGreaterThanOrEqual(500);
  const none = (await run('bash', 'true')).report;
  expect(none.writtenBytes).toBeLessThan(64 * 1024);
  expect(none.writtenInodes).toBeLessThan(30);
});

test('a sandbox that is gone has left nothing', async () => {
  const { residue } = await run('bash', 'echo gone');
  expect(residue).toEqual({ cgroup: false });
});
