import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parkedBytes } from '../../runtime/pool/function-zones.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { useFunctionZones } from '../support/function-zones.ts';
import { descendants, onceboxCgroups } from '../support/host.ts';

const { initialised, ordinary, launcherPid } = useFunctionZones();

const pythonHandler = '\ndef handler(event, context):\n    return 5\n';
const native =
  'import ctypes, json, os, signal, struct, sys, time\nlibc = ctypes.CDLL(None, use_errno=True)\n';

/** Initialisation that does not come back to the platform's part: it is the zygote now, and speaks for itself. */
const impostor = `${native}
import array, socket, threading
def tell(kind, sandbox=0, pid=1, status=0):
    os.write(4, struct.pack("<IIii", kind, sandbox, pid, status))
requests = socket.socket(fileno=3)
requests.recv(65536)  # the filter
def next_request():
    data, control, _, _ = requests.recvmsg(8192, 4096)
    fds = array.array("i")
    for _, _, part in control: fds.frombytes(part)
    return struct.unpack("<I", data[:4])[0], list(fds)
`;

/** All of the zone's processes and cgroups are gone: those of this file's other zones stay. */
async function census() {
  return {
    processes: (await descendants(launcherPid())).length,
    cgroups: (await onceboxCgroups()).filter((path) => path.includes(`/test-${process.pid}-`)).length,
  };
}

async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function agents(): Promise<number[]> {
  const found = [];
  for (const pid of await descendants(launcherPid())) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    if (/Name:\tagent/.test(status) && /NSpid:\t\d+\t1\n/.test(status)) found.push(pid);
  }
  return found;
}

test.each([
  [
    'a fork bomb',
    `${native}\nwhile True:\n    try:\n        if os.fork() == 0: time.sleep(60)\n    except OSError: break\n`,
    /left|ended before|not ready in time/,
  ],
  [
    'a daemon of its own session, whose parents are gone',
    `${native}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(60)
    os._exit(0)
os.wait()`,
    /left a process behind|child process/,
  ],
  [
    'more memory than a zygote may have',
    'held = [bytearray(1 << 20) for _ in range(4096)]',
    /ended before it was ready|not ready in time/,
  ],
  ['an end by signal', `${native}\nos.kill(os.getpid(), signal.SIGKILL)`, /ended before it was ready/],
  [
    'the end of all whom it may end',
    `${native}\ntry: os.kill(-1, signal.SIGKILL)\nexcept ProcessLookupError: os.kill(os.getpid(), signal.SIGKILL)`,
    /ended before it was ready/,
  ],
  [
    'events that are none',
    `${native}\nos.write(4, struct.pack("<IIii", 99, 0, 0, 0))\ntime.sleep(60)`,
    /sent what is no event/,
  ],
  [
    'answers that nobody asked for',
    `${native}\nos.write(4, struct.pack("<IIii", 1, 8193, 1, 0))\ntime.sleep(60)`,
    /answered what it was not asked/,
  ],
  [
    'being ready twice',
    `${native}\nos.write(4, struct.pack("<IIii", 3, 0, 1, 0) * 2)\ntime.sleep(60)`,
    /ready twice|is gone/,
  ],
] as const)('initialisation with %s costs its own zone, and others go on', async (_, code, reason) => {
  const neighbour = await ordinary('python', { 'index.py': pythonHandler });
  expect((await neighbour.call()).value).toBe(5);
  const before = await census();
  const opened = await initialised('python', { 'index.py': `${code}${pythonHandler}` }).catch(
    (error: Error) => error,
  );
  if (opened instanceof Error) expect(opened.message).toMatch(reason);
  else await opened.zone.closed;
  expect((await neighbour.call()).value).toBe(5);
  await expect.poll(census, { timeout: 60_000 }).toEqual(before);
});

test('initialisation cannot become the services, whose accounts of kernel limits worker and gateway are on', async () => {
  const { call } = await initialised('python', {
    'index.py': `${native}
done = {}
def attempt(name, *arguments):
    pid = os.fork()
    if pid == 0: os._exit(0 if getattr(libc, name)(*arguments) == 0 else 1)
    done[name + str(arguments)] = os.waitpid(pid, 0)[1] == 0
service = 65536
for name in ["setuid", "setgid"]: attempt(name, service)
for name in ["setreuid", "setregid"]:
    attempt(name, service, -1)
    attempt(name, -1, service)
for name in ["setresuid", "setresgid"]:
    for at in range(3): attempt(name, *[service if i == at else -1 for i in range(3)])
for name in ["setfsuid", "setfsgid"]:
    getattr(libc, name)(service)
    done[name] = getattr(libc, name)(-1) == service
attempt("setresuid", 1000, 1000, 1000)
def handler(event, context): return done
`,
  });
  const { value } = await call();
  const control = 'setresuid(1000, 1000, 1000)';
  expect(Object.keys(value).filter((name) => value[name])).toEqual([control]);
  expect(Object.keys(value).length).toBeGreaterThanOrEqual(14);
});

test('initialisation that has blocked or taken SIGCHLD keeps no sandbox from being discarded', async () => {
  for (const how of [
    'signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])',
    'signal.signal(signal.SIGCHLD, signal.SIG_IGN)',
  ]) {
    const { call } = await initialised('python', {
      'index.py': `${native}\n${how}
def handler(event, context):
    return [signal.SIGCHLD in signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN]
`,
    });
    const startedAt = performance.now();
    // Resolves when nothing of it is left.
    for (let calls = 0; calls < 3; calls++)
      expect((await call()).value).toEqual([how.includes('mask'), how.includes('IGN')]);
    expect(performance.now() - startedAt).toBeLessThan(60_000);
  }
});

test('an impostor gets the shells of its own function, and can do no more with them than the zygote', async () => {
  const { zone, layers } = await initialised('python', {
    'index.py': `${impostor}
tell(3)
sandbox, fds = next_request()
done = {}
def attempt(name, result): done[name] = result >= 0
def opens(name, path):
    try: attempt(name, os.open(path, os.O_RDONLY))
    except OSError: attempt(name, -1)
shell = fds[0]
attempt("join", libc.setns(shell, 0x20000 | 0x40000000 | 0x8000000 | 0x4000000))
attempt("user_namespace", libc.setns(shell, 0x10000000))
attempt("mount", libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None))
attempt("remount", libc.mount(None, b"/", None, 32 | 4096, None))
attempt("umount", libc.umount2(b"/proc", 2))
attempt("pivot", libc.syscall(155, b"/", b"/"))
attempt("chroot", libc.chroot(b"/tmp"))
attempt("ptrace_init", libc.ptrace(0x4206, 1, 0, 0))
attempt("device", libc.mknod(b"/tmp/disk", 0o60600, 0x800))
attempt("raw_socket", libc.socket(2, 3, 255))
attempt("packet_socket", libc.socket(17, 3, 0))
opens("memory_of_init", "/proc/1/mem")
opens("maps_of_init", "/proc/1/maps")
opens("root_of_init", "/proc/1/root/work")
opens("fds_of_init", "/proc/1/fd")
opens("layers", "/layers")
opens("cgroups", "/sys/fs/cgroup/memory")
try:
    open("/proc/sys/kernel/hostname", "w").write("x")
    done["write_sys"] = True
except OSError: done["write_sys"] = False
allowed = [name for name in done if done[name]]
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\\t" in line)
os.write(fds[3], json.dumps([len(done), allowed, [status[name] for name in ["CapPrm", "CapEff", "NoNewPrivs", "Seccomp"]], os.listdir("/proc/1/fd")]).encode())
os._exit(1)
`,
  });
  const failed = await zone.create(scratchSpec(layers)).catch((error: Error) => error.message);
  const said = /\[.*\]/.exec(String(failed))?.[0];
  const [tried, allowed, init, fds] = JSON.parse(said ?? `"${failed}"`);
  expect(tried).toBeGreaterThanOrEqual(18);
  // The init is no prize: it has no capability and no descriptor, and its memory none of an invocation.
  expect(allowed.filter((name: string) => !name.endsWith('_of_init'))).toEqual(['join']);
  expect(init).toEqual(['0000000000000000', '0000000000000000', '1', '2']);
  expect(fds).toEqual([]);
  await zone.closed;
});

test('events without end cost the zone, and the agent no more than moments', async () => {
  const known = await agents();
  const { zone, layers } = await initialised('python', {
    'index.py': `${impostor}
tell(3)
sandbox, fds = next_request()
tell(1, sandbox, 7)
os.write(fds[5], b"P")
time.sleep(0.5)
event = struct.pack("<IIii", 2, sandbox, 7, 0)
while True: os.write(4, event * 256)
`,
  });
  const [agent] = (await agents()).filter((pid) => !known.includes(pid)) as [number];
  const before = await cpuSeconds(agent);
  const sandbox = await zone.create(scratchSpec(layers)).catch((error: Error) => error);
  let used = before;
  const watch = setInterval(async () => {
    used = await cpuSeconds(agent).catch(() => used);
  }, 50);
  await zone.closed;
  clearInterval(watch);
  if (!(sandbox instanceof Error)) await sandbox.dead;
  expect(used - before).toBeLessThan(2);
});

test('a zygote that stops forking is not waited for without end, and its zone can be closed', async () => {
  const { zone, layers } = await initialised('python', {
    'index.py': `${impostor}\ntell(3)\nnext_request()\ntime.sleep(600)\n`,
  });
  const before = await census();
  expect(before.processes).toBeGreaterThan(0);
  const waiting = zone.create(scratchSpec(layers)).catch((error: Error) => error.message);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await zone.close();
  expect(await waiting).toMatch(/gone|lost/);
});

test('a parked fork may have what the pools count it with, which is enough for one of a large function', async () => {
  const { zone, layers, call } = await initialised('node', {
    'index.cjs': `const held = Array.from({ length: 200_000 }, (_, i) => ({ i, text: 'x'.repeat(100) + i }));
      const bytes = Buffer.alloc(64 << 20, 1);
      exports.handler = () => held.length + bytes.length;`,
  });
  const before = new Set(await onceboxCgroups());
  const parked = await zone.create(scratchSpec(layers));
  const own = (await onceboxCgroups()).filter(
    (path) => path.includes(`/test-${process.pid}-`) && !before.has(path),
  );
  const limits = await Promise.all(
    own.flatMap((path) =>
      ['memory.limit_in_bytes', 'memory.max'].map((name) =>
        readFile(`${path}/${name}`, 'utf8').catch(() => ''),
      ),
    ),
  );
  expect(limits.map((text) => text.trim())).toContain(String(parkedBytes));
  expect((await parked.stat()).memoryPeakBytes).toBeLessThan(parkedBytes / 2);
  await parked.kill();
  expect((await call()).value).toBe(200_000 + (64 << 20));
});
