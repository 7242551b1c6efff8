import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { firstOwnId } from '../../runtime/image/ids.ts';
import { openStore } from '../../runtime/image/store.ts';
import { descendants } from '../support/host.ts';
import { storeDir, useZones } from '../support/zones.ts';

const zones = useZones();
const { run, launcherPid } = zones;
const execute = promisify(execFile);

test('a file of one invocation is not there in the next', async () => {
  const write =
    'echo secret | tee /tmp/left /work/left /var/tmp/left /dev/shm/left; ls /tmp /work /var/tmp /dev/shm';
  expect((await run('bash', write)).stdout).toMatch(/left[\s\S]*left[\s\S]*left[\s\S]*left/);
  const look = 'ls -A /tmp /var/tmp /dev/shm; ls -A /work';
  expect((await run('bash', look)).stdout).not.toContain('left');
});

test('the image cannot be changed from a sandbox', async () => {
  const { layers } = await openStore(storeDir).resolve('bash');
  const hash = async () => {
    const file = await readFile(join(storeDir, 'layers', layers[0] as string, 'usr/bin/bash'));
    return createHash('sha256').update(file).digest('hex');
  };
  const before = await hash();
  const { stderr } = await run(
    'bash',
    'echo x >> /usr/bin/bash; touch /x; rm -f /usr/bin/env; echo x > /etc/passwd',
  );
  expect(stderr.match(/Permission denied/g)).toHaveLength(4);
  expect(await hash()).toBe(before);
});

test('a program without privileges stays so', async () => {
  const { stdout } = await run('python', 'print(open("/proc/self/status").read())');
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
    expect(stdout).toMatch(new RegExp(`${set}:\\s+0000000000000000`));
  }
  expect(stdout).toMatch(/NoNewPrivs:\s+1/);
  expect(stdout).toMatch(/Seccomp:\s+2/);
  expect(Number(/Uid:\s+(\d+)\s/.exec(stdout)?.[1])).toBeGreaterThanOrEqual(firstOwnId);
});

test('a sandbox sees only its own processes, and those only of itself', async () => {
  const { stdout } = await run(
    'bash',
    'for p in /proc/[0-9]*; do echo "$p $(tr "\\0" " " < $p/cmdline)"; done',
  );
  expect(stdout.match(/^\/proc\/\d+ /gm)?.length).toBeLessThanOrEqual(3);
  expect(stdout).toMatch(/^\/proc\/1 init\s*$/m);
});

test('nothing of the host is named inside', async () => {
  const code =
    'cat /proc/self/mountinfo /proc/self/cgroup /proc/1/cmdline; env; hostname 2>/dev/null; ls -R /proc/self/fd';
  const { stdout } = await run('bash', code);
  for (const secret of [storeDir, process.cwd(), 'redis', 'ONCEBOX', hostname(), 'zone1', 'LD_PRELOAD']) {
    expect(stdout, secret).not.toContain(secret);
  }
  expect(stdout).toContain('overlay'); // the control: there was something to look at
});

test('no descriptor leads out of the sandbox', async () => {
  const list =
    'require("fs").readdirSync("/proc/self/fd").map((fd) => { try { return require("fs").readlinkSync(`/proc/self/fd/${fd}`) } catch { return "" } })';
  const { stdout } = await run('node', `console.log(JSON.stringify(${list}))`);
  const open: string[] = JSON.parse(stdout);
  // Pipes only: what user code can send over a socket, whoever reads it would have to close.
  expect(open.filter((target) => target.startsWith('socket:'))).toEqual([]);
  expect(open.filter((target) => target.startsWith('pipe:')).length).toBeGreaterThanOrEqual(4);
  expect(open.filter((target) => target.includes('io_uring'))).toHaveLength(0);
  expect(open.filter((target) => target.startsWith('/') && !target.startsWith('/proc/'))).toEqual([]);
});

test('two siblings of a zygote share no pipe', async () => {
  const list =
    'console.log(require("fs").readdirSync("/proc/self/fd").map((fd) => { try { return require("fs").readlinkSync(`/proc/self/fd/${fd}`) } catch { return "" } }).join("\\n"))';
  const pipes = async () => new Set((await run('node', list)).stdout.match(/pipe:\[\d+\]/g));
  const [first, second] = [await pipes(), await pipes()];
  expect([...first].filter((pipe) => second.has(pipe))).toEqual([]);
  expect(first.size).toBeGreaterThan(0);
});

test('two siblings of a zygote draw different random numbers, ids and names', async () => {
  const node =
    'console.log(Math.random(), crypto.randomUUID(), require("crypto").randomBytes(8).toString("hex"), require("os").tmpdir())';
  const python =
    'import random,uuid,tempfile,secrets,ssl\nprint(random.random(), uuid.uuid4(), tempfile.mktemp(), secrets.token_hex(), ssl.RAND_bytes(8))';
  for (const [runtime, code] of [
    ['node', node],
    ['python', python],
  ] as const) {
    const first = (await run(runtime, code)).stdout.split(' ');
    const second = (await run(runtime, code)).stdout.split(' ');
    const same = first.filter((part, index) => part === second[index] && !part.startsWith('/tmp\n'));
    expect(same, runtime).toEqual([]);
  }
});

test('a fork does not show: pid, clock, argv and environment are those of a fresh process', async () => {
  const code = `console.log(JSON.stringify({ pid: process.pid, real: Number(require('fs').readlinkSync('/proc/self')),
    now: performance.now(), origin: Date.now() - performance.timeOrigin, uptime: process.uptime(),
    execArgv: process.execArgv, argv: process.argv, env: Object.keys(process.env).sort(), main: require.main.filename,
    preload: require('child_process').execSync('echo "$LD_PRELOAD"').toString() }))`;
  await zones.zone('node');
  const startedAt = performance.now();
  const seen = JSON.parse((await run('node', code)).stdout);
  const tookMs = performance.now() - startedAt;
  expect(seen.pid).toBe(seen.real);
  for (const age of [seen.now, seen.origin, seen.uptime * 1000]) {
    expect(age).toBeGreaterThan(-5);
    expect(age).toBeLessThan(tookMs + 5);
  }
  expect(seen).toMatchObject({
    execArgv: [],
    argv: ['/usr/local/bin/node', '/work/index.js'],
    preload: '\n',
  });
  expect(seen.env).toEqual(['HOME', 'LANG', 'LOGNAME', 'PATH', 'TMPDIR', 'USER']);
});

test('node works in a fork: fetch, http, child processes, workers, zlib, crypto, dns, timers', async () => {
  const code = `const { execSync } = require('child_process'); const { Worker } = require('worker_threads');
    const done = []; const zlib = require('zlib'), crypto = require('crypto'), dns = require('dns');
    done.push(execSync('echo shell').toString().trim());
    new Worker('require("worker_threads").parentPort.postMessage("worker")', { eval: true }).on('message', (m) => done.push(m));
    const server = require('http').createServer((q, r) => r.end('http')).listen(0, '127.0.0.1', async () => {
      done.push(await (await fetch('http://127.0.0.1:' + server.address().port)).text()); server.close(); });
    zlib.gzip('a', () => done.push('zlib')); crypto.pbkdf2('a', 'b', 10, 10, 'sha1', () => done.push('crypto'));
    dns.lookup('localhost', () => done.push('dns')); setTimeout(() => done.push('timer'), 5);
    WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).then(() => done.push('wasm'));
    require('fs').promises.readdir('/').then(() => done.push('fs'));
    process.on('exit', () => console.log(done.sort().join(' ')));`;
  const { stdout, stderr } = await run('node', code);
  expect({ stdout, stderr }).toEqual({
    stdout: 'crypto dns fs http shell timer wasm worker zlib\n',
    stderr: '',
  });
});

test('what needs privileges is refused; outside, the same calls work', async () => {
  const calls = {
    unshare: 272,
    mount: 165,
    umount2: 166,
    setns: 308,
    ptrace: 101,
    bpf: 321,
    keyctl: 250,
    perf_event_open: 298,
    userfaultfd: 323,
    io_uring_setup: 425,
    open_by_handle_at: 304,
    kexec_load: 246,
    chroot: 161,
    fsopen: 430,
  };
  const code = `import ctypes, errno, json\nlibc = ctypes.CDLL(None, use_errno=True)\nresult = {}\nfor name, number in ${JSON.stringify(calls)}.items():\n    ctypes.set_errno(0)\n    result[name] = [libc.syscall(number, 0, 0, 0, 0, 0), errno.errorcode.get(ctypes.get_errno())]\nprint(json.dumps(result))`;
  const inside = JSON.parse((await run('python', code)).stdout);
  for (const name of Object.keys(calls)) {
    expect(inside[name][0], name).toBe(-1);
    expect(['EPERM', 'ENOSYS'], name).toContain(inside[name][1]);
  }
  const { stdout } = await execute('python3', ['-c', code]);
  expect(JSON.parse(stdout).unshare).toEqual([0, null]);
});

test('a new user namespace is refused, by clone too', async () => {
  const code =
    'import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint(libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0), ctypes.get_errno(), libc.syscall(435, 0, 0), ctypes.get_errno())';
  expect((await run('python', code)).stdout).toBe('-1 1 -1 38\n');
});

test('only loopback is there, and the host cannot be reached', async () => {
  const code = `import socket, os
print(sorted(os.listdir('/proc/sys/net/ipv4/conf')) if os.path.exists('/proc/sys/net/ipv4/conf') else [])
for address in [('127.0.0.1', 22), ('169.254.169.254', 80), ('8.8.8.8', 53), ('10.0.0.1', 80)]:
    try: socket.create_connection(address, 30); print('open')
    except OSError as error: print(error.errno)
server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname(), 30); print('own loopback works')`;
  const { stdout } = await run('python', code);
  expect(stdout).not.toContain('open');
  expect(stdout.match(/^101$/gm)).toHaveLength(3); // ENETUNREACH
  expect(stdout).toContain('own loopback works');
});

test('/proc and init give no way out', async () => {
  const code =
    'cat /proc/1/environ; ls /proc/1/root/ /proc/1/cwd/; kill -9 1; echo x > /proc/sys/kernel/core_pattern; echo x > /proc/sysrq-trigger; cat /proc/kcore; echo 0 > /proc/self/oom_score_adj && echo -999 > /proc/self/oom_score_adj; true';
  const { stdout, stderr } = await run('bash', code);
  expect(stdout).toBe('');
  expect(
    stderr.split('\n').filter((line) => /denied|not permitted|No such file|Read-only/.test(line)).length,
  ).toBeGreaterThanOrEqual(7);
});

test('a daemon that left its session is gone with the sandbox', async () => {
  const code = `import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(1); os.close(2)
        time.sleep(1000)
    os._exit(0)
os.wait(); print('left')`;
  const before = (await descendants(launcherPid())).length;
  expect((await run('python', code)).stdout).toBe('left\n');
  expect((await descendants(launcherPid())).length).toBe(before);
});

test('a program that floods or closes its result channel harms only itself', async () => {
  // The one pipe above stderr of which the process has one end only; node's own are whole.
  const find = `const fs = require("fs"); const open = fs.readdirSync("/proc/self/fd").map((fd) => {
      try { return [fd, fs.readlinkSync("/proc/self/fd/" + fd)] } catch { return [fd, ""] } });
    const [result] = open.find(([fd, target]) => fd > 2 && target.startsWith("pipe:") && open.filter((other) => other[1] === target).length === 1);`;
  const flood = await run(
    'node',
    `${find} for (let i = 0; i < 200; i++) fs.writeSync(+result, "x".repeat(65536))`,
  );
  expect(flood.outcome).toMatchObject({ status: 'limit_exceeded', limit: 'output' });
  const close = await run(
    'python',
    'import os; os.closerange(3, 256); print("closed", flush=True); raise ValueError("x")',
  );
  expect(close).toMatchObject({ outcome: { status: 'exited', exitCode: 1 }, stdout: 'closed\n' });
  expect((await run('node', 'console.log("next")')).stdout).toBe('next\n');
});

test('what is on the account of the host itself is scarce or refused', async () => {
  const code = `import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)
def call(name, *args): ctypes.set_errno(0); return getattr(libc, name)(*args) >= 0 or errno.errorcode[ctypes.get_errno()]
print(call('inotify_init'), call('inotify_init1', 0), call('mq_open', b'/q', 0o100 | 2, 0o600, 0))
print(call('mlock', ctypes.create_string_buffer(65536), 65536))`;
  expect((await run('python', code)).stdout).toBe('EMFILE EMFILE EMFILE\nEPERM\n');
  const { stdout } = await execute('python3', ['-c', code]);
  expect(stdout).toMatch(/^True True/);
  expect((await run('bash', 'touch /dev/null')).stderr).toContain('Read-only file system');
});

test('a lock on a device is not seen by the host, nor by the sandboxes of another runtime', async () => {
  const python = `import fcntl, os
def attempt(path):
    try: return fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB) or 'locked'
    except OSError as error: return type(error).__name__
print(*[attempt(path) for path in ('/dev', '/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom')])`;
  const holder = spawn('flock', ['/dev/null', 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    holder.stdin.write('held\n');
    await once(holder.stdout, 'data');
    expect((await execute('python3', ['-c', python])).stdout).toContain('BlockingIOError');
    expect((await run('python', python)).stdout).toBe(`${Array(6).fill('locked').join(' ')}\n`);
  } finally {
    holder.stdin.end();
    await once(holder, 'close');
  }
  const look = 'stat -c "%d %i" /dev/null';
  const inPython = await run('python', 'import os; s = os.stat("/dev/null"); print(s.st_dev, s.st_ino)');
  expect((await run('bash', look)).stdout).not.toBe(inPython.stdout);
});

test('a broken pipe ends a program as it does elsewhere', async () => {
  expect((await run('bash', 'yes | head -n 1; echo "${PIPESTATUS[0]}"')).stdout).toBe('y\n141\n');
});
