import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useFunctionZones } from '../support/function-zones.ts';
import { onceboxCgroups } from '../support/host.ts';
import { useZones } from '../support/zones.ts';

const { run } = useZones();
const { initialised } = useFunctionZones();

/*
 * An interpreter says that it ends before it does, on a pipe that its program has too.
 */

test('a child that a program forked does not end the run: by its end, its exit code or its error', async () => {
  const ends: [code: string, status: number][] = [
    ['pass', 0],
    ['sys.exit(3)', 3],
    ['raise ValueError("x")', 1],
  ];
  for (const [code, status] of ends) {
    const ran = await run(
      'python',
      `
import os, sys, time
pid = os.fork()
if pid == 0:
    ${code}
else:
    _, status = os.waitpid(pid, 0)
    time.sleep(0.1)
    print('child exited with', os.waitstatus_to_exitcode(status))
`,
    );
    expect(ran.outcome).toEqual({ status: 'ok' });
    expect(ran.stdout).toContain(`child exited with ${status}\n`);
  }
});

test('a file that took the place of the result pipe gets nothing of ours', async () => {
  const ran = await run(
    'python',
    `
import os, time
os.closerange(3, 256)
fds = [os.open('out%d' % i, os.O_RDWR | os.O_CREAT) for i in range(12)]
if os.fork() == 0: raise SystemExit(0)
os.wait()
print([os.fstat(fd).st_size for fd in fds])
`,
  );
  expect(ran.stdout).toBe(`[${Array(12).fill(0).join(', ')}]\n`);
});

test('output of up to a pipe, written right before the end, is all there', async () => {
  const ran = await run('node', `process.stdout.write('x'.repeat(60000)); process.exit(7)`);
  expect(ran.outcome).toEqual({ status: 'exited', exitCode: 7 });
  expect(ran.stdout).toHaveLength(60_000);
});

test('what a program leaves running is gone with it', async () => {
  const ran = await run('bash', 'sleep 100 & echo started');
  expect(ran.outcome).toEqual({ status: 'ok' });
  expect(ran.stdout).toBe('started\n');
});

test('worker threads and contexts draw random numbers of their own', async () => {
  const ran = await run(
    'node',
    `const { Worker } = require('node:worker_threads');
const { runInNewContext } = require('node:vm');
console.log(Math.random());
console.log(runInNewContext('Math.random()'));
for (let i = 0; i < 2; i++) new Worker('console.log(Math.random())', { eval: true });`,
  );
  const drawn = ran.stdout.trim().split('\n');
  expect(drawn).toHaveLength(4);
  expect(new Set(drawn).size).toBe(4);
});

test('a process that a function forked past the shell does not outlive the call', async () => {
  const { call, zone } = await initialised('python', {
    'index.py': `
import os, socket, struct, time
requests = socket.socket(fileno=3)
requests.recv(16384)
def tell(kind, sandbox, pid, status): os.write(4, struct.pack('<IIii', kind, sandbox, pid, status))
tell(3, 0, os.getpid(), 1000)
while True:
    data, fds, flags, address = socket.recv_fds(requests, 8192, 16)
    if not data: os._exit(0)
    sandbox = struct.unpack('<I', data[:4])[0]
    pid = os.fork()
    if pid == 0:
        for fd in fds[6:]: os.write(fd, b'0')
        os.write(fds[5], b'P')
        size = struct.unpack('<I', os.read(fds[4], 4))[0]
        os.read(fds[4], size)
        os.write(fds[5], b'{"type":"result","value":1}\\0\\0')
        while True: time.sleep(1)
    for fd in fds: os.close(fd)
    tell(1, sandbox, pid, 0)
`,
  });
  await call();
  const left = async () =>
    (await onceboxCgroups()).filter((path) => path.includes(`/test-${process.pid}-`) && /\/s\d+$/.test(path));
  const members = (await left()).map((path) => readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => ''));
  expect((await Promise.all(members)).join('')).toBe('');
  await expect.poll(left).toEqual([]);
  // And it was not the zone that paid for it.
  expect((await call()).value).toBe(1);
  await zone.close();
});
