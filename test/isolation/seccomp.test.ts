import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { buildSeccompProbe, systemCalls, verdicts } from '../native/seccomp-probe.ts';
import { useZones } from '../support/zones.ts';

const { run } = useZones();
const execute = promisify(execFile);

beforeAll(buildSeccompProbe);

/** Calls each number with arguments of zero, and prints the errors as JSON; `null` is success. */
const callAll = (numbers: readonly number[]) => `import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
result = {}
for number in ${JSON.stringify(numbers)}:
    ctypes.set_errno(0)
    result[number] = ctypes.get_errno() if libc.syscall(number, 0, 0, 0, 0, 0, 0) < 0 else None
print(json.dumps(result))`;

const killed = (number: string) => `import ctypes, os, signal
pid = os.fork()
if pid == 0:
    ctypes.CDLL(None).syscall(${number})
    os._exit(7)
status = os.waitpid(pid, 0)[1]
print(signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))`;

/**
 * uretprobe and uprobe of x86-64: since Linux 6.14 no filter is asked about them, whatever it says. The kernel ends with
 * SIGILL whoever calls them from elsewhere than the code that it writes itself.
 */
const unfiltered = process.arch === 'x64' ? [335, 336] : [];

test('in a sandbox every number that is not allowed is refused as the profile says, in children of a child too', async () => {
  const { own } = await verdicts('sandbox');
  const refused = [...own].filter(
    ([number, verdict]) => verdict !== 'allow' && number < 1024 && !unfiltered.includes(number),
  );
  expect(refused.length).toBeGreaterThan(700);
  const code = callAll(refused.map(([number]) => number));
  const nested = `import subprocess, sys
print(subprocess.run(['sh', '-c', 'exec "$@"', 'sh', sys.executable, '-c', ${JSON.stringify(code)}], capture_output=True, text=True).stdout)`;
  for (const program of [code, nested]) {
    const { stdout, stderr, outcome } = await run('python', program);
    expect({ stderr, outcome }).toEqual({ stderr: '', outcome: { status: 'ok' } });
    const answers: Record<string, number | null> = JSON.parse(stdout);
    expect(refused.filter(([number, verdict]) => verdict !== `errno ${answers[number] ?? 0}`)).toEqual([]);
  }
});

test.skipIf(unfiltered.length === 0)(
  'the two calls that no filter is asked about end their own process at most',
  async () => {
    for (const number of unfiltered)
      expect(['SIGILL', 'SIGSYS', '7']).toContain((await run('python', killed(`${number}`))).stdout.trim());
  },
);

test('outside the filter the same numbers answer something else', async () => {
  const calls = await systemCalls();
  const names = [
    ...[
      'unshare',
      'setns',
      'kcmp',
      'name_to_handle_at',
      'bpf',
      'perf_event_open',
      'userfaultfd',
      'io_uring_setup',
      'io_setup',
    ],
    ...[
      'inotify_init1',
      'add_key',
      'process_vm_readv',
      'clone3',
      'adjtimex',
      'mount',
      'fsopen',
      'get_mempolicy',
    ],
  ];
  const numbers = names.map((name) => calls.get(name) as number);
  const { stdout } = await execute('python3', ['-c', callAll(numbers)]);
  const outside: Record<string, number | null> = JSON.parse(stdout);
  const inside: Record<string, number | null> = JSON.parse((await run('python', callAll(numbers))).stdout);
  const same = names.filter(
    (name) => outside[calls.get(name) as number] === inside[calls.get(name) as number],
  );
  // The last is allowed, so that it is the same shows that the comparison sees anything.
  expect(same).toEqual(['get_mempolicy']);
});

test.skipIf(process.arch !== 'x64')(
  'a call of x32 or i386 ends its process; of our own it does not',
  async () => {
    expect((await run('python', killed('0x40000027'))).stdout).toBe('SIGSYS\n'); // getpid of x32
    expect((await run('python', killed('39'))).stdout).toBe('7\n');
    // int 0x80 with eax = 20, getpid of i386: mov eax, 20; int 0x80; ret
    const code = `import ctypes, mmap, os, signal
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
pid = os.fork()
if pid == 0:
    call()
    os._exit(7)
status = os.waitpid(pid, 0)[1]
print(signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))`;
    expect((await run('python', code)).stdout).toBe('SIGSYS\n');
    const { stdout } = await execute('python3', ['-c', code]);
    expect(['7\n', 'SIGSEGV\n']).toContain(stdout); // SIGSEGV: the kernel is built without i386
  },
);

test('of socket families only Unix, TCP, UDP and the list of interfaces are there', async () => {
  const code = `import socket, errno
for family, type, protocol in [(1, 1, 0), (2, 1, 0), (2, 2, 0), (10, 1, 0), (16, 3, 0), (16, 3, 4), (16, 3, 9), (17, 3, 0), (40, 1, 0), (38, 5, 0), (30, 1, 0), (21, 5, 0), (2, 1, 262), (2, 3, 1)]:
    try: socket.socket(family, type, protocol).close(); print(family, 'open')
    except OSError as error: print(family, errno.errorcode[error.errno])`;
  expect((await run('python', code)).stdout.trim().split('\n')).toEqual([
    ...['1 open', '2 open', '2 open', '10 open', '16 open', '16 EAFNOSUPPORT', '16 EAFNOSUPPORT', '17 EPERM'],
    ...[
      '40 EAFNOSUPPORT',
      '38 EAFNOSUPPORT',
      '30 EAFNOSUPPORT',
      '21 EAFNOSUPPORT',
      '2 EAFNOSUPPORT',
      '2 EPERM',
    ],
  ]);
  const outside = (await execute('python3', ['-c', code])).stdout;
  expect(outside).toMatch(/^17 open$/m);
  expect(outside).toMatch(/^16 open\n16 open$/m);
});

test('python has threads, processes, asyncio, sqlite, subprocesses and shared memory', async () => {
  const code = `import asyncio, concurrent.futures, multiprocessing, os, sqlite3, subprocess, tempfile, threading, time
from multiprocessing import shared_memory
done = []
thread = threading.Thread(target=done.append, args=('thread',)); thread.start(); thread.join()
with multiprocessing.Pool(2) as pool: done.append(str(pool.map(abs, [-1, -2])))
async def main():
    process = await asyncio.create_subprocess_exec('echo', 'asyncio', stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()
done.append(asyncio.run(main()))
base = sqlite3.connect('/work/base'); base.execute('create table t(a)'); base.execute('insert into t values(1)'); base.commit()
done.append(str(base.execute('select * from t').fetchall()))
done.append(subprocess.run(['sh', '-c', 'echo shell | cat'], capture_output=True, text=True).stdout.strip())
block = shared_memory.SharedMemory(create=True, size=4096); block.buf[0] = 7; done.append(str(block.buf[0])); block.close(); block.unlink()
with concurrent.futures.ProcessPoolExecutor(1) as pool: done.append(str(pool.submit(os.cpu_count).result() > 0))
tempfile.TemporaryFile().close(); os.sync(); os.sched_setaffinity(0, os.sched_getaffinity(0)); os.nice(1)
print(' '.join(done))`;
  const { stdout, stderr } = await run('python', code, { limits: { cpuMs: 20_000 } });
  expect({ stdout, stderr }).toEqual({ stdout: 'thread [1, 2] asyncio [(1,)] shell 7 True\n', stderr: '' });
});
