import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useBuilds } from './builds.ts';
import { makeTar, type TarEntry } from './make-tar.ts';

const run = promisify(execFile);
const builds = useBuilds();
const MiB = 1024 * 1024;

/** Leaves the chroot of its RUN, which root can with CAP_SYS_CHROOT: what is outside is the confinement. */
const leaveChroot = `
import os
outside = os.open('/', os.O_RDONLY)
os.makedirs('/tmp/cell', exist_ok=True)
os.chroot('/tmp/cell')
os.fchdir(outside)
for _ in range(64): os.chdir('..')
os.chroot('.')
`;

/** Tries each call and prints "name: errno" or "name: done". */
const tries = `
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, call):
    try:
        result = call()
    except OSError as error:
        print(name + ': ' + errno.errorcode[error.errno], flush=True)
        return
    if isinstance(result, int) and result < 0:
        print(name + ': ' + errno.errorcode[ctypes.get_errno()], flush=True)
    else:
        print(name + ': done', flush=True)
def write(path):
    with open(path, 'w') as file: file.write('1')
`;

/** A process of nobody's, that ignores what it can and has let go of all that it shared. */
const daemon: TarEntry = {
  path: 'daemon.py',
  data: `
import os, signal, sys
read, write = os.pipe()
if os.fork():
    os.close(write)
    os.read(read, 1) # ends when the other end is closed, by the exec below
    sys.exit(0)
os.setsid()
if os.fork(): os._exit(0)
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
os.closerange(0, 3)
os.execvp('sleep', ['sleep', sys.argv[1]])
`,
};

/** Runs a Python script as one RUN and returns what it printed: into a file, as the builder may lose the end of an output. */
async function inBuild(script: string): Promise<string[]> {
  const { image } = await builds.build(
    'FROM bash\nCOPY probe.py /probe.py\nRUN python3 /probe.py >/said 2>&1; true',
    { files: [{ path: 'probe.py', data: script }] },
  );
  return (await builds.read(image, 'said')).split('\n');
}

async function onHost(script: string): Promise<string[]> {
  return (await run('python3', ['-c', script])).stdout.split('\n');
}

describe('the commands of a Dockerfile', () => {
  it('see nothing of the host, even out of their chroot', async () => {
    const secret = join(builds.directory, 'secret');
    await writeFile(secret, 'host secret', { mode: 0o666 });
    const { image } = await builds.build('FROM scratch\nCOPY x /x', {
      files: [{ path: 'x', data: 'layer secret' }],
      query: { reference: 'secret' },
    });
    const layer = join(builds.store.layersDir, image.layers[0] as string);
    expect(await readFile(join(layer, 'x'), 'utf8')).toBe('layer secret'); // it is there to be read
    const look = `
import os
for path in ['${secret}', '${layer}/x', '/layers/${image.layers[0]}/x', '/etc/shadow', '/etc/hostname', '/root', '/home']:
    print('path', path, 'there' if os.path.exists(path) else 'not there', flush=True)
`;
    expect(await onHost(look)).toContain(`path ${secret} there`);
    const inside = await inBuild(
      `${leaveChroot}${look}\nprint('ls', sorted(os.listdir('/')), os.listdir('/layers'))`,
    );
    const base = await builds.store.resolve('bash');
    expect(inside.filter((line) => line.endsWith(' there') && !line.endsWith('not there'))).toEqual([]);
    expect(inside.filter((line) => line.endsWith('not there'))).toHaveLength(7);
    const listing = inside.find((line) => line.startsWith('ls '));
    expect(listing).toContain("'build'"); // it was out
    expect(listing).toContain(`['${base.layers[0]}']`);
    expect(listing).not.toMatch(/'(home|root|srv|mnt|boot)'/);
  });

  it('write nowhere but to their own directory, even out of their chroot', async () => {
    const base = await builds.store.resolve('bash');
    const lines = await inBuild(`${tries}${leaveChroot}
attempt('build', lambda: write('/build/mark'))
attempt('usr', lambda: write('/usr/bin/mark'))
attempt('root', lambda: write('/mark'))
attempt('layer', lambda: write('/layers/${base.layers[0]}/mark'))
attempt('device', lambda: write('/dev/mark'))
attempt('sysctl', lambda: write('/proc/sys/kernel/core_pattern'))
attempt('printk', lambda: write('/proc/sys/kernel/printk'))
attempt('remount', lambda: libc.mount(None, b'/usr/bin', None, 32 | 4096, None))
attempt('disk', lambda: os.mknod('/build/disk', 0o60600, os.makedev(254, 0)))
`);
    expect(lines).toEqual(
      expect.arrayContaining(['build: done', 'usr: EROFS', 'root: EROFS', 'layer: EROFS']),
    );
    for (const name of ['device', 'sysctl', 'printk', 'remount', 'disk'])
      expect(lines).toContainEqual(expect.stringMatching(`^${name}: (EROFS|EACCES|EPERM)$`));
  });

  it('reach no network, no socket of the host, and no process but their own', async () => {
    const tcp = createServer((socket) => socket.end());
    const local = createServer((socket) => socket.end());
    onTestFinished(() => {
      tcp.close();
      local.close();
    });
    tcp.listen(0, '127.0.0.1');
    local.listen(`\0oncebox-test-${process.pid}`);
    await Promise.all([once(tcp, 'listening'), once(local, 'listening')]);
    const { port } = tcp.address() as { port: number };
    const script = `${tries}
import socket
attempt('tcp', lambda: socket.create_connection(('127.0.0.1', ${port}), 5) and None)
attempt('local', lambda: socket.socket(socket.AF_UNIX).connect('\\0' + 'oncebox-test-${process.pid}'.ljust(107, '\\0')))
attempt('far', lambda: socket.create_connection(('192.0.2.1', 80), 5) and None)
attempt('signal', lambda: os.kill(${process.pid}, 0))
`;
    expect(await onHost(script)).toEqual(
      expect.arrayContaining(['tcp: done', 'local: done', 'signal: done']),
    );
    const lines = await inBuild(script);
    expect(lines).toEqual(
      expect.arrayContaining(['tcp: ECONNREFUSED', 'local: ECONNREFUSED', 'far: ENETUNREACH']),
    );
    expect(lines).toContain('signal: ESRCH');
  });

  it('get none of the system calls that a build can do without', async () => {
    const script = `${tries}
import platform
number = {'x86_64': dict(keyctl=250, bpf=321, io_uring=425, userns=272, ptrace=101, handle=303),
          'aarch64': dict(keyctl=219, bpf=280, io_uring=425, userns=97, ptrace=117, handle=264)}[platform.machine()]
attempt('keyctl', lambda: libc.syscall(number['keyctl'], 0, -3, 1))
attempt('userns', lambda: libc.syscall(number['userns'], 0x10000000))
attempt('mountns', lambda: libc.syscall(number['userns'], 0x20000))
attempt('io_uring', lambda: libc.syscall(number['io_uring'], 0, None))
attempt('bpf', lambda: libc.syscall(number['bpf'], 0, None, 0))
attempt('ptrace', lambda: libc.syscall(number['ptrace'], 16, 1, 0, 0))
attempt('handle', lambda: libc.syscall(number['handle'], -1, b'', None, None, 0))
attempt('mount', lambda: libc.mount(b'x', b'/tmp', b'tmpfs', 0, None))
attempt('init', lambda: os.listdir('/proc/1/root/'))
`;
    const outside = await onHost(script);
    expect(outside).toContain('userns: done');
    expect(outside.filter((line) => line.startsWith('io_uring'))).not.toEqual(['io_uring: EPERM']);
    const lines = await inBuild(script);
    for (const name of ['keyctl', 'userns', 'mountns', 'bpf', 'ptrace', 'handle', 'mount', 'init'])
      expect(lines).toContainEqual(expect.stringMatching(`^${name}: (EPERM|EACCES|ENOSYS)$`));
    expect(lines).toContainEqual(expect.stringMatching('^io_uring: (EPERM|ENOSYS)$'));
  });

  it('cannot end or trace the process that keeps the caps, as root of the confinement', async () => {
    const lines = await inBuild(`${tries}${leaveChroot}
attempt('kill', lambda: os.kill(1, 9))
attempt('memory', lambda: open('/proc/1/mem', 'r+b') and None)
attempt('descriptors', lambda: os.listdir('/proc/1/fd'))
attempt('cgroup', lambda: libc.mount(b'x', b'/build/tmp', b'cgroup2', 0, None))
print('still here')
`);
    expect(lines).toEqual(
      expect.arrayContaining(['memory: EACCES', 'descriptors: EACCES', 'cgroup: EPERM', 'still here']),
    );
  });

  it.each([
    [
      'processes',
      'for i in $(seq 200); do sleep $((PATIENCE + 1)) >/dev/null 2>&1 & done; wait',
      { pids: 100 },
      'out of processes (cap 100)',
    ],
    ['memory', `python3 -c 'bytearray(300 << 20)'`, { memoryBytes: 200 * MiB }, 'out of memory'],
    [
      'disk',
      'for i in $(seq 40); do head -c 2M /dev/zero > /f$i; done; sleep $PATIENCE',
      { diskBytes: 20 * MiB },
      'wrote more than',
    ],
    [
      'the size of a file',
      'if head -c 60M /dev/zero > /file; then rm /file; else sleep $PATIENCE; fi',
      { diskBytes: 40 * MiB },
      'wrote more than',
    ],
    [
      'disk in files without a name',
      `python3 -c 'import os, tempfile, time; held = [tempfile.TemporaryFile(dir="/") for i in range(20)]; [f.write(bytes(10 << 20)) for f in held]; [f.flush() for f in held]; time.sleep(int(os.environ["PATIENCE"]))'`,
      { diskBytes: 100 * MiB },
      'wrote more than',
    ],
    [
      'files',
      'mkdir /d; cd /d; seq 10000 | xargs touch; sleep $PATIENCE',
      { diskInodes: 4000 },
      'wrote more than',
    ],
    ['time', 'sleep 1000', { wallMs: 3000 }, 'did not end within 3 s'],
  ])('are held to a cap of %s', async (what, command, limits, words) => {
    const before = await builds.census();
    const dockerfile = `FROM bash\nARG PATIENCE=0\nRUN ${command}`;
    // What has passed its cap stays until that is found.
    const failure = await builds.failure(dockerfile, { limits, query: { args: '{"PATIENCE":"120"}' } });
    expect(failure).toMatchObject({
      code: 'build_failed',
      message: expect.stringMatching(words.replace(/[()]/g, '\\$&')),
    });
    expect(await builds.census()).toEqual(before);
    if (what !== 'time') await builds.build(dockerfile, { limits: {} }); // the control: nothing else is in its way
  });

  it('leave no process behind, whatever they start', async () => {
    const before = await builds.census();
    const { image } = await builds.build(
      'FROM bash\nCOPY daemon.py /\nRUN python3 /daemon.py 97531; grep -ls sleep /proc/[0-9]*/comm >/said; true',
      { files: [daemon] },
    );
    expect(await builds.read(image, 'said')).toMatch(/^\/proc\/\d+\/comm$/m); // it runs
    expect(await builds.census()).toEqual(before);
    expect((await run('ps', ['axo', 'args'])).stdout).not.toMatch(/^sleep 97531/m);
  });

  it('end when whoever wanted the image hangs up', async () => {
    const before = await builds.census();
    const abort = new AbortController();
    const dockerfile = 'FROM bash\nCOPY daemon.py /\nRUN python3 /daemon.py 97532; echo started; sleep 97532';
    const build = builds.build(dockerfile, {
      files: [daemon],
      signal: abort.signal,
      onEvent: (event) => {
        if (event.type === 'output' && event.line === 'started') abort.abort(new Error('gone'));
      },
    });
    await expect(build).rejects.toThrow('gone');
    await builds.settled(before);
    expect((await run('ps', ['axo', 'args'])).stdout).not.toMatch(/^sleep 97532/m);
  });
});

describe('a context', () => {
  const tricks: [string, TarEntry[]][] = [
    ['a path that climbs out', [{ path: '../../outside', data: 'x' }]],
    ['an absolute path', [{ path: '/etc/passwd', data: 'x' }]],
    [
      'a link out and a file through it',
      [
        { path: 'out', type: 'SymbolicLink', linkpath: '/etc' },
        { path: 'out/passwd', data: 'x' },
      ],
    ],
    ['a hard link to a file of the host', [{ path: 'hard', type: 'Link', linkpath: '/etc/shadow' }]],
    ['a device', [{ path: 'null', type: 'CharacterDevice' }]],
    ['a fifo', [{ path: 'fifo', type: 'FIFO' }]],
  ];
  it.each(tricks)('with %s changes nothing outside of its build', async (_what, entries) => {
    const before = await readFile('/etc/passwd', 'utf8');
    const content = [{ path: 'Dockerfile', data: 'FROM scratch\nCOPY Dockerfile /' }, ...entries];
    await builds
      .build('', { context: Readable.from([makeTar(content)]) })
      .catch((error: { code: string }) => {
        expect(error.code).toBe('invalid_request');
      });
    expect(await readFile('/etc/passwd', 'utf8')).toBe(before);
    expect(await readdir(builds.directory)).not.toContain('outside');
    expect(await readdir(builds.store.layersDir)).not.toContain('outside');
  });

  it('cannot have a file of the host as its Dockerfile, nor copy one', async () => {
    const link = { path: 'Dockerfile', type: 'SymbolicLink' as const, linkpath: '/etc/hostname' };
    const failure = await builds.failure('', { context: Readable.from([makeTar([link])]) });
    expect(failure).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('no file') });
    const shadow = { path: 'shadow', type: 'SymbolicLink' as const, linkpath: '/etc/shadow' };
    const copied = await builds.failure('FROM scratch\nCOPY shadow /copied', { files: [shadow] });
    expect(copied.code).toBe('build_failed');
  });
});

describe('a build whose launcher is killed', () => {
  it('goes with it, and what it had on disk goes when the next one starts', async () => {
    const before = await builds.census();
    let started = () => {};
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const build = builds.failure('FROM bash\nRUN echo started; head -c 1M /dev/zero > /f; sleep 97533', {
      onEvent: (event) => {
        if (event.type === 'output' && event.line === 'started') started();
      },
    });
    await running;
    await builds.stopLauncher('SIGKILL');
    expect((await build).message).toContain('the builder ended without an answer');
    await builds.startLauncher();
    await builds.settled(before);
    expect((await run('ps', ['axo', 'args'])).stdout).not.toMatch(/^sleep 97533/m);
    await builds.build('FROM bash\nRUN true');
  });
});
