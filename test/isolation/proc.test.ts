import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { useZones } from '../support/zones.ts';

const { run } = useZones();
const execute = promisify(execFile);
const root = new URL('../../runtime/native/root.c', import.meta.url);

/** Every name of the list in root.c, whether this kernel has it or not. */
async function masked(): Promise<string[]> {
  const list = /masked\[\] = \{([\s\S]*?)\n\};/.exec(await readFile(root, 'utf8'))?.[1] ?? '';
  return [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name as string);
}

/** What opening or listing each of them comes to. */
const look = (names: readonly string[]) => `import errno, json, os
result = {}
for name in ${JSON.stringify(names)}:
    path = '/proc/' + name
    try:
        result[name] = 'directory' if os.path.isdir(path) and os.listdir(path) is not None else 'file' if os.close(os.open(path, os.O_RDONLY)) is None else None
    except OSError as error:
        result[name] = errno.errorcode[error.errno]
print(json.dumps(result))`;

test('what tells of the host, or acts on it, cannot be opened in /proc; outside it can', async () => {
  const names = await masked();
  expect(names).toEqual(
    expect.arrayContaining(['kcore', 'kmsg', 'keys', 'sysrq-trigger', 'cmdline', 'acpi']),
  );
  const inside: Record<string, string> = JSON.parse((await run('python', look(names))).stdout);
  for (const name of names) expect(['EACCES', 'ENOENT'], name).toContain(inside[name]);
  const outside: Record<string, string> = JSON.parse((await execute('python3', ['-c', look(names)])).stdout);
  for (const name of ['keys', 'cmdline', 'locks', 'interrupts']) expect(outside[name], name).toBe('file');
  // What is there outside is masked inside, not missing.
  const there = names.filter((name) => ['file', 'directory'].includes(outside[name] as string));
  expect(there.filter((name) => inside[name] !== 'EACCES')).toEqual([]);
  expect(there.length).toBeGreaterThan(8);
});

test('what interpreters and tools read of the machine is there', async () => {
  const names = [
    'cpuinfo',
    'meminfo',
    'stat',
    'loadavg',
    'uptime',
    'version',
    'filesystems',
    'self/status',
    'self/maps',
  ];
  names.push(
    'self/mountinfo',
    'self/cgroup',
    'sys/kernel/osrelease',
    'sys/vm/overcommit_memory',
    'sys/kernel/pid_max',
    'net/dev',
    'mounts',
  );
  const inside: Record<string, string> = JSON.parse((await run('python', look(names))).stdout);
  expect(new Set(Object.values(inside))).toEqual(new Set(['file']));
  const code =
    'const os = require("os"); console.log(os.cpus().length > 0, os.totalmem() > 0, os.uptime() > 0, os.loadavg().length)';
  expect((await run('node', code)).stdout).toBe('true true true 3\n');
});

test('/proc is read-only as a whole, and no mask can be taken off it', async () => {
  const code = `import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what):
    try: what(); return 'done'
    except OSError as error: return errno.errorcode[error.errno]
def write(path): os.write(os.open(path, os.O_WRONLY), b'0')
def check(result):
    if result < 0: raise OSError(ctypes.get_errno(), '')
for path in ['/proc/sys/kernel/core_pattern', '/proc/self/oom_score_adj', '/proc/self/comm', '/proc/sys/net/ipv4/ip_forward', '/proc/self/uid_map']:
    print(path, attempt(lambda: write(path)))
print(attempt(lambda: check(libc.umount2(b'/proc/kcore', 2))), attempt(lambda: check(libc.mount(b'none', b'/proc', None, 32, None))))
print([line.split()[5].split(',')[0] for line in open('/proc/self/mountinfo') if line.split()[4].startswith('/proc')].count('rw'))`;
  const { stdout } = await run('python', code);
  expect(stdout.trim().split('\n')).toEqual([
    ...['core_pattern EROFS', 'oom_score_adj EROFS', 'comm EROFS', 'ip_forward EROFS', 'uid_map EROFS'].map(
      (end) => expect.stringContaining(end),
    ),
    'EPERM EPERM',
    '0',
  ]);
  const outside = 'import os; os.write(os.open("/proc/self/comm", os.O_WRONLY), b"0"); print("done")';
  expect((await execute('python3', ['-c', outside])).stdout).toBe('done\n');
});
