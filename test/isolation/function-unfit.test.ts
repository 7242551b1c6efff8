import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useFunctionZones } from '../support/function-zones.ts';
import { descendants, onceboxCgroups } from '../support/host.ts';
import { mountCount } from '../support/platform.ts';

const { initialised, ordinary, launcherPid } = useFunctionZones();

/** Of this file's launcher: others may run beside it. */
async function ownCgroups(): Promise<string[]> {
  return (await onceboxCgroups()).filter((path) => path.includes(`/test-${process.pid}-`));
}

const handler = 'export const handler = () => 5;';
const pythonHandler = '\ndef handler(event, context):\n    return 5\n';

const unfit: [what: string, runtime: 'node' | 'python', code: string, reason: RegExp][] = [
  ['throws', 'node', `throw new RangeError('not today');`, /RangeError: not today/],
  ['writes a file', 'node', `import fs from 'node:fs'; fs.writeFileSync('/tmp/x', '');`, /EROFS|EACCES/],
  ['leaves', 'node', 'process.exit(0);', /ended before it was ready/],
  ['never settles', 'node', 'await new Promise(() => {});', /ended before it was ready/],
  [
    'leaves a file open',
    'node',
    `import fs from 'node:fs'; globalThis.fd = fs.openSync('/function/index.mjs');`,
    /left a file open: \/function\/index.mjs/,
  ],
  [
    'listens',
    'node',
    `import net from 'node:net'; net.createServer().listen('/tmp/s').on('error', () => {}); net.createServer().listen(0).on('error', () => {});`,
    /left open: .*(Server|Socket)/i,
  ],
  [
    'hides a socket',
    'node',
    `import dgram from 'node:dgram'; const s = dgram.createSocket('udp4'); await new Promise((r) => s.bind(0, r)); s.unref();`,
    /left a file open: socket/,
  ],
  [
    'leaves a child',
    'node',
    `import { spawn } from 'node:child_process'; spawn('/bin/sleep', ['900'], { stdio: 'ignore' });`,
    /left open: ProcessWrap/,
  ],
  [
    'hides a child',
    'node',
    `import { spawn } from 'node:child_process'; spawn('/bin/sleep', ['900'], { stdio: 'ignore' }).unref();`,
    /left a child process/,
  ],
  [
    'hides a worker',
    'node',
    `import { Worker } from 'node:worker_threads'; new Worker('setInterval(() => {}, 99)', { eval: true }).unref();`,
    /left open: .*Worker/,
  ],
  [
    'watches',
    'node',
    `import fs from 'node:fs'; fs.watch('/function').unref();`,
    /EMFILE: too many open files, watch/,
  ],
  ['raises', 'python', 'raise ValueError("not today")', /ValueError: not today/],
  ['leaves', 'python', 'import sys; sys.exit(0)', /ended before it was ready/],
  ['leaves a file open', 'python', 'kept = open("/function/index.py")', /left a file open/],
  ['leaves a socket', 'python', 'import socket\nkept = socket.socketpair()', /left a file open/],
  ['leaves an event loop', 'python', 'import asyncio\nkept = asyncio.new_event_loop()', /left a file open/],
  [
    'leaves a thread',
    'python',
    'import threading, time\nthreading.Thread(target=time.sleep, args=(900,), daemon=True, name="mine").start()',
    /left threads: mine/,
  ],
  [
    'leaves a child',
    'python',
    'import subprocess\nkept = subprocess.Popen(["/bin/sleep", "900"])',
    /left a child process/,
  ],
  ['shares memory', 'python', 'import mmap\nkept = mmap.mmap(-1, 4096)', /left shared memory: \/dev\/zero/],
  [
    'shares System V memory',
    'python',
    `
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
kept = libc.shmat(libc.shmget(0, 4096, 0o1600), None, 0)
libc.shmctl(0, 0, None)`,
    /left shared memory: \/SYSV/,
  ],
  [
    'shares a memfd',
    'python',
    `
import mmap, os
fd = os.memfd_create("x")
os.ftruncate(fd, 4096)
kept = mmap.mmap(fd, 4096)
os.close(fd)`,
    /left (shared memory: \/memfd|a file open)/,
  ],
];

test.each(unfit)(
  'initialisation that %s (%s) is refused to be shared, with the reason',
  async (_, runtime, code, reason) => {
    const files: Record<string, string> =
      runtime === 'node'
        ? { 'index.mjs': `${code}\n${handler}` }
        : { 'index.py': `${code}\n${pythonHandler}` };
    await expect(initialised(runtime, files)).rejects.toThrow(reason);
  },
);

test('what is unfit to be shared runs the ordinary way; what throws is a function error there', async () => {
  const open = await ordinary('python', { 'index.py': `kept = open("/function/index.py")${pythonHandler}` });
  expect((await open.call()).value).toBe(5);
  const throwing = await ordinary('node', { 'index.mjs': `throw new RangeError('not today');${handler}` });
  expect((await throwing.call()).outcome).toMatchObject({ status: 'function_error', name: 'RangeError' });
});

test('an environment that is too large for a zygote is said', async () => {
  const env = { BIG: 'x'.repeat(131_000) };
  await expect(initialised('node', { 'index.mjs': handler }, { env })).rejects.toThrow(
    /environment makes 13\d{4} bytes/,
  );
  const fits = { BIG: 'x'.repeat(120_000) };
  const { call } = await initialised(
    'node',
    { 'index.mjs': 'export const handler = () => process.env.BIG.length;' },
    { env: fits },
  );
  expect((await call()).value).toBe(120_000);
});

/** What initialisation could try with the rights of a zygote; `true` is success. */
const attacks = `
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
done = {}
def attempt(name, call):
    try:
        result = call()
        done[name] = result is None or result >= 0
    except (OSError, PermissionError):
        done[name] = False
attempt("mount", lambda: libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None))
attempt("remount", lambda: libc.mount(None, b"/function", None, 32 | 4096, None))
attempt("umount", lambda: libc.umount2(b"/dev", 2))
attempt("unshare_mounts", lambda: libc.unshare(0x20000))
attempt("unshare_users", lambda: libc.unshare(0x10000000))
attempt("chroot", lambda: libc.chroot(b"/function"))
attempt("ptrace_agent", lambda: libc.ptrace(0x4206, 1, 0, 0))
attempt("pidfd_of_agent", lambda: libc.syscall(434, 1, 0))
attempt("limit_agent", lambda: libc.prlimit(1, 7, (ctypes.c_ulong * 2)(0, 0), None))
attempt("read_agent", lambda: libc.process_vm_readv(1, None, 0, None, 0, 0))
attempt("namespace_of_agent", lambda: os.open("/proc/1/ns/mnt", os.O_RDONLY))
attempt("memory_of_agent", lambda: os.open("/proc/1/mem", os.O_RDONLY))
attempt("root_of_agent", lambda: os.open("/proc/1/root/layers", os.O_RDONLY))
attempt("layers", lambda: os.open("/layers", os.O_RDONLY))
attempt("processes", lambda: 1 if any(name.isdigit() for name in os.listdir("/proc")) else -1)
attempt("write_code", lambda: os.open("/function/written", os.O_WRONLY | os.O_CREAT))
attempt("write_image", lambda: os.open("/written", os.O_WRONLY | os.O_CREAT))
attempt("io_uring", lambda: libc.syscall(425, 1, 0))
attempt("bpf", lambda: libc.syscall(321, 0, 0, 0))
attempt("keyring", lambda: libc.syscall(250, 0, -3, 0))
attempt("cgroup", lambda: os.open("/sys/fs/cgroup", os.O_RDONLY))
attempt("speak_to_agent", lambda: libc.send(3, b"x", 1, 0x4000))
try: os.kill(1, signal.SIGKILL)
except OSError: pass
`;

test('initialisation can do nothing to its agent, its mounts or others, nor can it end its zone by a signal', async () => {
  const { call } = await initialised('python', {
    'index.py': `${attacks}\ndef handler(event, context):\n    return done\n`,
  });
  const { value } = await call();
  expect(Object.keys(value).length).toBeGreaterThanOrEqual(22);
  expect(Object.keys(value).filter((name) => value[name])).toEqual([]);
  expect((await call()).value, 'the agent lives').toEqual(value);
});

test('a fork of a hostile initialisation is a sandbox as any other', async () => {
  const check = `
    import fs from 'node:fs';
    export const handler = () => {
      const status = fs.readFileSync('/proc/self/status', 'utf8');
      const field = (name) => new RegExp(name + ':\\\\s*(\\\\S+)').exec(status)?.[1];
      return { caps: [field('CapEff'), field('CapPrm'), field('CapBnd'), field('CapAmb')], privileges: field('NoNewPrivs'),
        seccomp: field('Seccomp'), uid: process.getuid() >= 65538, fds: fs.readdirSync('/proc/self/fd').length,
        processes: fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).length };
    };`;
  const shared = await (
    await initialised('node', { 'index.mjs': `process.setuid = process.exit = () => {};${check}` })
  ).call();
  const alone = await (await ordinary('node', { 'index.mjs': check })).call();
  const none = '0000000000000000';
  expect(shared.value).toMatchObject({
    caps: [none, none, none, none],
    privileges: '1',
    seccomp: '2',
    uid: true,
    processes: 2,
  });
  expect({ ...shared.value, fds: 0 }).toEqual({ ...alone.value, fds: 0 });
  expect(shared.value.fds).toBeLessThanOrEqual(alone.value.fds + 2);
});

test('a function that goes wild right after the fork is held before it has a job', async () => {
  const { zone, layers } = await initialised('python', {
    'index.py': `
import os
def bomb():
    held = []
    while True: held.append(bytearray(1 << 20))
os.register_at_fork(after_in_child=bomb)${pythonHandler}`,
  });
  await expect(zone.create({ layers, workingDir: '/work', scratch: true })).rejects.toThrow(
    /died while it joined|parked/,
  );
});

test('the zygote of a function has one core, a cap on memory and one on processes', async () => {
  await initialised('python', { 'index.py': pythonHandler });
  const leaves = (await ownCgroups()).filter((path) => path.endsWith('/zygote'));
  const read = async (names: string[]) => {
    const files = leaves.flatMap((leaf) =>
      names.map((name) => readFile(join(leaf, name), 'utf8').catch(() => '')),
    );
    return (await Promise.all(files)).map((text) => text.trim()).filter((text) => text !== '');
  };
  expect(await read(['cpu.cfs_quota_us', 'cpu.max'])).toContainEqual(
    expect.stringMatching(/^100000( 100000)?$/),
  );
  expect(await read(['memory.limit_in_bytes', 'memory.max'])).toContain(String(2 ** 31));
  expect(await read(['pids.max'])).toContain('512');
});

test('nothing is left of zones whose functions ran', async () => {
  await ordinary('python', { 'index.py': pythonHandler });
  const all = async () => [...(await descendants(launcherPid())), ...(await ownCgroups())];
  const before = new Set(await all()); // what earlier zones have left may still be on its way out
  const mounts = await mountCount();
  for (const runtime of ['node', 'python'] as const) {
    const files = runtime === 'node' ? { 'index.mjs': handler } : { 'index.py': pythonHandler };
    const { zone, call } = await initialised(runtime, files as Record<string, string>);
    await Promise.all(Array.from({ length: 10 }, () => call()));
    await zone.close();
  }
  const left = async () => (await all()).filter((name) => !before.has(name));
  await expect.poll(left, { timeout: 60_000 }).toEqual([]);
  await expect.poll(mountCount).toBe(mounts);
});
