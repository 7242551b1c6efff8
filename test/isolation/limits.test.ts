import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { onceboxCgroups } from '../support/host.ts';
import { useZones } from '../support/zones.ts';

const MiB = 1024 * 1024;
const { run, park } = useZones();
const execute = promisify(execFile);

const readLimits = `import json, resource
names = ['CORE', 'NOFILE', 'SIGPENDING', 'MEMLOCK', 'MSGQUEUE', 'NICE', 'RTPRIO']
print(json.dumps({name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name)) for name in names} | {'STACK': resource.getrlimit(resource.RLIMIT_STACK)[0]}))`;

test.each(['python', 'bash'] as const)('%s: what cgroups do not count is limited', async (runtime) => {
  const code =
    runtime === 'python'
      ? readLimits
      : 'for name in c n i l q e r; do ulimit -S -$name; ulimit -H -$name; done; ulimit -s';
  const { stdout } = await run(runtime, code);
  if (runtime === 'bash') {
    expect(stdout.trim().split('\n').map(Number)).toEqual([
      0, 0, 1024, 4096, 256, 256, 0, 0, 0, 0, 0, 0, 0, 0, 8192,
    ]);
    return;
  }
  const limits = JSON.parse(stdout);
  expect(limits).toEqual({
    ...{ CORE: [0, 0], NOFILE: [1024, 4096], SIGPENDING: [256, 256], MEMLOCK: [0, 0], MSGQUEUE: [0, 0] },
    ...{ NICE: [0, 0], RTPRIO: [0, 0], STACK: 8 * MiB },
  });
  const outside = JSON.parse((await execute('python3', ['-c', readLimits])).stdout);
  expect(outside.MSGQUEUE[0]).toBeGreaterThan(0);
  expect(outside.SIGPENDING[0]).toBeGreaterThan(256);
});

test('limits cannot be raised, priorities neither', async () => {
  const code = `import errno, os, resource
def attempt(what):
    try: what(); return 'done'
    except (OSError, ValueError) as error: return errno.errorcode[error.errno] if isinstance(error, OSError) else 'ValueError'
for name in ['CORE', 'NOFILE', 'SIGPENDING', 'MEMLOCK', 'MSGQUEUE', 'NICE', 'RTPRIO']:
    print(attempt(lambda: resource.setrlimit(getattr(resource, 'RLIMIT_' + name), (8192, 8192))))
print(attempt(lambda: os.nice(-1)), attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))), attempt(lambda: os.nice(5)))`;
  expect((await run('python', code)).stdout).toBe(`${'ValueError\n'.repeat(7)}EPERM EPERM done\n`);
  const { stdout } = await execute('python3', ['-c', code]);
  // Root may, but for the two that Python itself finds too high.
  expect(stdout).toBe(`${'done\n'.repeat(5)}ValueError\nValueError\ndone done done\n`);
});

test("a zone's agent has the processor before its sandboxes, which have equal shares", async () => {
  await park('bash');
  await park('bash');
  const weights = new Map<string, Set<number>>();
  for (const path of await onceboxCgroups()) {
    const [, who] = new RegExp(`/test-${process.pid}-\\d+/zone\\d+/(agent|s)\\d*$`).exec(path) ?? [];
    const text = await Promise.any(
      ['cpu.shares', 'cpu.weight'].map((file) => readFile(join(path, file), 'utf8')),
    ).catch(() => '');
    if (who && text !== '') weights.set(who, (weights.get(who) ?? new Set()).add(Number(text)));
  }
  const [[agent], sandboxes] = [[...(weights.get('agent') ?? [])], [...(weights.get('s') ?? [])]];
  expect(sandboxes).toHaveLength(1);
  expect(agent).toBeGreaterThanOrEqual(100 * (sandboxes[0] ?? Number.NaN));
});

test.each(['/tmp', '/work', '/dev/shm'])(
  'what is written to %s counts against the one cap on the writable layer',
  async (place) => {
    const code = `import errno, os, shutil
def fill(path):
    written = 0
    try:
        with open(path, 'wb', 0) as file:
            while True: written += file.write(bytes(65536))
    except OSError as error: return errno.errorcode[error.errno], written
print(*fill('${place}/fill'), shutil.disk_usage('${place}').total)
print(*fill('/dev/shm/more')); print(*fill('/tmp/more')); print(*fill('/work/more'))`;
    const { stdout } = await run('python', code, { limits: { diskBytes: 8 * MiB } });
    const [first, ...rest] = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    expect(first?.[0]).toBe('ENOSPC');
    expect(Number(first?.[1])).toBeGreaterThan(7 * MiB);
    expect(Number(first?.[1])).toBeLessThanOrEqual(8 * MiB);
    expect(Number(first?.[2])).toBe(8 * MiB);
    // Nothing is left in any other place: it is one file system.
    for (const [error, written] of rest) expect([error, Number(written) < 65536]).toEqual(['ENOSPC', true]);
  },
);

test('a program has no terminal, and can get none', async () => {
  const code = `import errno, os
def attempt(what):
    try: return what()
    except OSError as error: return errno.errorcode[error.errno]
print([os.isatty(fd) for fd in range(3)], [attempt(lambda: os.ttyname(fd)) for fd in range(3)])
print([attempt(lambda: os.open(path, os.O_RDWR)) for path in ['/dev/tty', '/dev/ptmx', '/dev/pts/ptmx', '/dev/console', '/dev/tty0']])
print(attempt(lambda: os.openpty()), attempt(lambda: os.ctermid()), open('/proc/self/stat').read().split()[6])
print(sorted(os.listdir('/dev')))`;
  const lines = (await run('python', code)).stdout.trim().split('\n');
  expect(lines).toEqual([
    "[False, False, False] ['ENOTTY', 'ENOTTY', 'ENOTTY']",
    "['ENOENT', 'ENOENT', 'ENOENT', 'ENOENT', 'ENOENT']",
    'ENOENT /dev/tty 0',
    "['fd', 'full', 'null', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']",
  ]);
  const outside = await execute('python3', ['-c', 'import os; a, b = os.openpty(); print(os.isatty(b))']);
  expect(outside.stdout).toBe('True\n');
});
