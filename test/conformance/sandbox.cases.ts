import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { firstOwnId } from '../../runtime/image/ids.ts';
import { OpenInput } from '../../runtime/sandbox/open-input.ts';
import { InputUnsupportedError, type SandboxSpec, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import type { Isolation } from '../../sdk/contract/isolation.ts';
import { descendants, onceboxCgroups, takeCensus } from '../support/host.ts';
import { patientLimits } from '../support/limits.ts';
import { storeDir } from '../support/zones.ts';
import { useDriver } from './drivers.ts';
import { snippetOf } from './programs.ts';

const MiB = 1024 * 1024;
const doomedWorker = resolve(import.meta.dirname, 'doomed-worker.ts');

/**
 * What every sandbox does, whatever makes it: the cases of one driver. A case that a driver does not pass is skipped by
 * its name, with the reason; a reason for no case is an error.
 */
export function sandboxConformance(isolation: Isolation, skips: Record<string, string> = {}): void {
  const driver = useDriver(isolation);
  const { snippet, handler, command } = driver;
  const unused = new Set(Object.keys(skips));

  function conforms(name: string, run: () => Promise<void>) {
    unused.delete(name);
    const reason = skips[name];
    test(name, async (context) => {
      if (reason !== undefined) context.skip(reason);
      await run();
    });
  }

  const imageSpec = async (script: string, over: Partial<SandboxSpec> = {}): Promise<SandboxSpec> => ({
    layers: await driver.above('bash', script),
    user: { uid: 1234, gid: 2345, groups: [7, 8] },
    workingDir: '/srv/app',
    scratch: false,
    ...over,
  });

  conforms('a snippet ends well, with what it wrote', async () => {
    const bash = await snippet('bash', 'echo out; echo err >&2');
    expect(bash).toMatchObject({ outcome: { status: 'ok' }, stdout: 'out\n', stderr: 'err\n' });
    const node = await snippet('node', 'console.log(1 + 1); console.error("e")');
    expect(node).toMatchObject({ outcome: { status: 'ok' }, stdout: '2\n', stderr: 'e\n' });
    const python = await snippet('python', 'import sys; print(1 + 1); print("e", file=sys.stderr)');
    expect(python).toMatchObject({ outcome: { status: 'ok' }, stdout: '2\n', stderr: 'e\n' });
    expect(node.report.cpuUsec).toBeGreaterThan(0);
    expect(node.report.memoryPeakBytes).toBeGreaterThan(MiB);
  });

  conforms('stdin, arguments, environment and files reach it', async () => {
    const options = {
      stdin: 'line\n',
      args: ['a b', ''],
      env: { WHO: 'me' },
      files: [
        { path: 'lib/data.txt', content: Buffer.from('é').toString('base64'), encoding: 'base64' as const },
      ],
    };
    const bash = 'read l; echo "$l|$1|$#|$WHO|$(cat lib/data.txt)|$PWD"';
    expect((await snippet('bash', bash, options)).stdout).toBe('line|a b|2|me|é|/work\n');
    const python =
      'import os,sys\nprint(input(), *sys.argv[1:], os.environ["WHO"], open("lib/data.txt").read(), os.getcwd(), sep="|")';
    expect((await snippet('python', python, options)).stdout).toBe('line|a b||me|é|/work\n');
    const node =
      'const fs=require("fs");console.log([fs.readFileSync(0,"utf8").trim(),...process.argv.slice(2),process.env.WHO,fs.readFileSync("lib/data.txt"),process.cwd()].join("|"))';
    expect((await snippet('node', node, options)).stdout).toBe('line|a b||me|é|/work\n');
  });

  conforms('a large stdin arrives whole, and one that is not read harms nobody', async () => {
    const stdin = 'x'.repeat(3 * MiB);
    expect((await snippet('bash', 'wc -c', { stdin })).stdout.trim()).toBe(`${stdin.length}`);
    expect((await snippet('bash', 'echo done', { stdin })).outcome).toEqual({ status: 'ok' });
  });

  conforms('a program may open its standard streams by their names', async () => {
    const streams = 'cat /dev/stdin > /dev/stdout; echo err > /dev/stderr';
    const expected = { outcome: { status: 'ok' }, stdout: 'in\n', stderr: 'err\n' };
    expect(await snippet('bash', streams, { stdin: 'in\n' })).toMatchObject(expected);
    const node =
      'const fs=require("fs"); fs.writeFileSync("/dev/stdout", fs.readFileSync("/dev/stdin")); fs.writeFileSync("/dev/stderr", "err\\n")';
    expect(await snippet('node', node, { stdin: 'in\n' })).toMatchObject(expected);
    const image = await imageSpec('mkdir -p srv/app');
    expect(await command(['/bin/bash', '-c', streams], image, { stdin: 'in\n' })).toMatchObject(expected);
  });

  conforms("secrets are files of the program's user alone, where it can make no others", async () => {
    const secrets = { TOKEN: 'hush', 'tls.key': 'x'.repeat(65_536), EMPTY: '' };
    const look =
      'cd /run/secrets; cat TOKEN; echo; wc -c < tls.key; find . -type f -printf "%f %m %u\\n" | sort; touch more 2>/dev/null || echo refused; ' +
      'rm -f TOKEN 2>/dev/null || echo refused; env | grep -c hush; grep -c hush /proc/self/mountinfo';
    const expected =
      'hush\n65536\nEMPTY 400 sandbox\nTOKEN 400 sandbox\ntls.key 400 sandbox\nrefused\nrefused\n0\n0\n';
    expect((await snippet('bash', look, { secrets })).stdout).toBe(expected);
    const node = 'console.log(require("fs").readFileSync("/run/secrets/TOKEN", "utf8"))';
    expect((await snippet('node', node, { secrets })).stdout).toBe('hush\n');
    const python = 'print(open("/run/secrets/TOKEN").read())';
    expect((await snippet('python', python, { secrets })).stdout).toBe('hush\n');
    const found = await command(
      ['/bin/bash', '-c', 'cat /run/secrets/TOKEN; find /run/secrets/TOKEN -printf " %m %U %G\\n"'],
      await imageSpec('mkdir -p srv/app'),
      { secrets },
    );
    expect(found.stdout, 'whoever the image says').toBe('hush 400 1234 2345\n');
  });

  conforms(
    'secrets that do not fit into the disk are a limit that was exceeded, before anything runs',
    async () => {
      const secrets = Object.fromEntries(['A', 'B', 'C', 'D'].map((name) => [name, 'x'.repeat(65_536)]));
      const { outcome, stdout } = await snippet('bash', 'echo ran', {
        secrets,
        limits: { diskBytes: 196_608 },
      });
      expect(outcome).toMatchObject({ status: 'limit_exceeded', limit: 'disk', max: 196_608 });
      expect(stdout).toBe('');
    },
  );

  conforms('what is not given secrets has no place for them', async () => {
    expect((await snippet('bash', 'ls /run/secrets 2>&1 || echo none')).stdout).toContain('none');
  });

  conforms('secrets are no part of what a run has changed', async () => {
    const { report } = await snippet('bash', 'cat /run/sec*/TOKEN > /dev/null; echo kept > /work/kept', {
      secrets: { TOKEN: 'hush' },
      captureChanges: true,
    });
    const archive = Buffer.from(report.changes ?? []).toString('latin1');
    expect(archive).toContain('kept');
    expect(archive).not.toContain('hush');
    expect(archive).not.toContain('secrets');
  });

  conforms('the environment is what was given and what the platform says', async () => {
    const { stdout } = await snippet('node', 'console.log(JSON.stringify(process.env))', { env: { A: '1' } });
    const names = Object.keys(JSON.parse(stdout)).sort();
    expect(names).toEqual(['A', 'HOME', 'LANG', 'LOGNAME', 'PATH', 'TMPDIR', 'USER']);
  });

  conforms('the exit code is told', async () => {
    expect((await snippet('bash', 'exit 3')).outcome).toEqual({ status: 'exited', exitCode: 3 });
    expect((await snippet('bash', 'exit 137')).outcome).toEqual({ status: 'exited', exitCode: 137 });
    expect((await snippet('node', 'process.exitCode = 4')).outcome).toEqual({
      status: 'exited',
      exitCode: 4,
    });
    expect((await snippet('python', 'raise SystemExit(5)')).outcome).toEqual({
      status: 'exited',
      exitCode: 5,
    });
  });

  conforms('the signal is told', async () => {
    expect((await snippet('bash', 'kill -9 $$')).outcome).toEqual({ status: 'signaled', signal: 'SIGKILL' });
    const abort = 'import os; os.abort()';
    expect((await snippet('python', abort)).outcome).toEqual({ status: 'signaled', signal: 'SIGABRT' });
  });

  conforms('an uncaught error is a function error', async () => {
    expect((await snippet('node', 'throw new TypeError("boo")')).outcome).toMatchObject({
      status: 'function_error',
      name: 'TypeError',
      message: 'boo',
    });
    const python = await snippet('python', 'raise KeyError("boo")');
    expect(python.outcome).toMatchObject({ status: 'function_error', name: 'KeyError', message: "'boo'" });
    expect(python.stderr).toContain('KeyError');
  });

  conforms('a handler returns its result', async () => {
    const node = 'exports.handler = async (event, context) => ({ event, id: context.invocationId })';
    expect((await handler('node', node, { a: [1] })).outcome).toEqual({
      status: 'ok',
      result: { event: { a: [1] }, id: 'inv_1' },
    });
    const python = 'def handler(event, context):\n  return {"event": event, "id": context.invocation_id}';
    expect((await handler('python', python, 'x')).outcome).toEqual({
      status: 'ok',
      result: { event: 'x', id: 'inv_1' },
    });
  });

  conforms('what a handler throws is a function error, with what it printed', async () => {
    const node = 'console.log("before"); exports.handler = async () => { throw new RangeError("no") }';
    const ran = await handler('node', node);
    expect(ran).toMatchObject({
      outcome: { status: 'function_error', name: 'RangeError', message: 'no' },
      stdout: 'before\n',
    });
    const python = 'def handler(event, context):\n  raise LookupError("no")';
    expect((await handler('python', python)).outcome).toMatchObject({
      status: 'function_error',
      name: 'LookupError',
    });
    expect((await handler('node', 'exports.handler = () => process.exit(0)')).outcome).toMatchObject({
      status: 'function_error',
      name: 'NoResult',
    });
  });

  conforms("an image's command runs as the image's user, in its working directory", async () => {
    const spec = await imageSpec('mkdir -p srv/app; echo data > srv/app/file');
    const script = 'id -u; id -g; id -G; pwd; cat file; echo "$A"; echo "$1"';
    const ran = await command(['bash', '-c', script, 'name', 'arg'], spec, {
      env: { A: 'v', PATH: '/usr/bin:/bin' },
    });
    expect(ran.stdout).toBe('1234\n2345\n2345 7 8\n/srv/app\ndata\nv\narg\n');
    expect(ran.outcome).toEqual({ status: 'ok' });
  });

  conforms('a working directory that the image has not is made for the user', async () => {
    const spec = await imageSpec('true', { workingDir: '/made/for/me' });
    const ran = await command(['bash', '-c', 'echo x > f && pwd'], spec, { env: { PATH: '/usr/bin:/bin' } });
    expect(ran).toMatchObject({ stdout: '/made/for/me\n', outcome: { status: 'ok' } });
  });

  conforms("an image's root is root there, without a capability", async () => {
    const spec = await imageSpec('true', { user: { uid: 0, gid: 0, groups: [] }, workingDir: '/' });
    const script =
      'id -u; echo x > /etc/new && cat /etc/new; grep CapEff /proc/self/status; chown 1:1 /etc/new';
    const ran = await command(['bash', '-c', script], spec, { env: { PATH: '/usr/bin:/bin' } });
    expect(ran.stdout).toMatch(/^0\nx\nCapEff:\s+0000000000000000\n$/);
    expect(ran.stderr).toContain('Operation not permitted');
  });

  conforms('a command that is not there ends with 127, and says so', async () => {
    const ran = await command(['no-such-program'], await imageSpec('true'), {
      env: { PATH: '/usr/bin:/bin' },
    });
    expect(ran.outcome).toEqual({ status: 'exited', exitCode: 127 });
    expect(ran.stderr).toContain('cannot execute no-such-program');
  });

  conforms('an endless loop is a wall timeout', async () => {
    const ran = await snippet('node', 'while (true) {}', { limits: { wallMs: 700 } });
    expect(ran.outcome).toMatchObject({ status: 'timeout', limit: 'wall', ms: 700 });
  });

  conforms('neither stopping itself nor ignoring signals is a way around the wall time', async () => {
    const stop = await snippet('bash', 'trap "" TERM HUP INT; kill -STOP $$', { limits: { wallMs: 700 } });
    expect(stop.outcome).toMatchObject({ status: 'timeout', limit: 'wall' });
  });

  conforms('CPU time is capped, and who used it up has his output', async () => {
    const ran = await snippet('bash', 'echo partial; while :; do :; done', { limits: { cpuMs: 2_000 } });
    expect(ran.outcome).toMatchObject({ status: 'timeout', limit: 'cpu', ms: 2_000 });
    expect(ran.report.cpuUsec).toBeGreaterThanOrEqual(2_000_000);
    expect(ran.stdout).toBe('partial\n');
  });

  conforms('memory above the cap is oom_killed', async () => {
    const code = 'a = []\nwhile True: a.append(bytearray(8 << 20))';
    const ran = await snippet('python', code, { limits: { memoryBytes: 96 * MiB } });
    expect(ran.outcome).toMatchObject({ status: 'oom_killed', memoryMaxBytes: 96 * MiB });
    const fits = await snippet('python', 'a = bytearray(40 << 20); print(len(a))', {
      limits: { memoryBytes: 96 * MiB },
    });
    expect(fits.outcome).toEqual({ status: 'ok' });
  });

  conforms('processes above the cap are refused', async () => {
    const fork = 'import os, time\nfor i in range(400):\n  if os.fork() == 0: time.sleep(600)';
    const ran = await snippet('python', fork, {
      limits: { pids: 20, memoryBytes: 512 * MiB },
    });
    expect(ran.outcome).toMatchObject({ status: 'limit_exceeded', limit: 'pids', max: 20 });
    const fits = 'for i in $(seq 10); do sleep 0.1 & done; wait; echo fine';
    expect((await snippet('bash', fits, { limits: { pids: 20 } })).stdout).toBe('fine\n');
  });

  conforms('the disk is capped in bytes, wherever it is written', async () => {
    for (const place of ['/work', '/tmp', '/dev/shm']) {
      const ran = await snippet('bash', `head -c 20000000 /dev/zero > ${place}/big`, {
        limits: { diskBytes: 8 * MiB },
      });
      expect(ran.outcome).toMatchObject({ status: 'limit_exceeded', limit: 'disk', max: 8 * MiB });
      expect(ran.stderr).toContain('No space left');
    }
    const fits = await snippet('bash', 'head -c 4000000 /dev/zero > big', { limits: { diskBytes: 8 * MiB } });
    expect(fits.outcome).toEqual({ status: 'ok' });
  });

  conforms('the disk is capped in files', async () => {
    const code = 'for i in range(3000): open(f"f{i}", "w").close()';
    const ran = await snippet('python', code, { limits: { diskInodes: 1000 } });
    expect(ran.outcome).toMatchObject({ status: 'limit_exceeded', limit: 'inodes', max: 1000 });
    expect((await snippet('python', code, { limits: { diskInodes: 5000 } })).outcome).toEqual({
      status: 'ok',
    });
  });

  conforms('output is cut at its cap, and that ends it', async () => {
    const flood = await snippet('bash', 'while :; do echo flood; done', { limits: { stdoutBytes: 10_000 } });
    expect(flood.outcome).toMatchObject({ status: 'limit_exceeded', limit: 'output', max: 10_000 });
    expect(flood.report.stdoutTruncated).toBe(true);
    expect(flood.stdout.length).toBe(10_000);
    const error = await snippet('bash', 'while :; do echo flood >&2; done', {
      limits: { stderrBytes: 5_000 },
    });
    expect(error.outcome).toMatchObject({ status: 'limit_exceeded', limit: 'output', max: 5_000 });
    const exact = await snippet('bash', 'head -c 10000 /dev/zero', { limits: { stdoutBytes: 10_000 } });
    expect(exact).toMatchObject({ outcome: { status: 'ok' }, report: { stdoutTruncated: false } });
  });

  conforms('a kill in the middle of a run ends it at once', async () => {
    const limits = patientLimits({ wallMs: 600_000 });
    const sandbox = await driver.create('bash', scratchSpec(await driver.base('bash')), limits);
    const program = snippetOf('bash', '(setsid sleep 1000 &); echo begun; sleep 1000');
    const onOutput = () => void sandbox.kill();
    const running = sandbox.run({ program, limits, stdin: new Uint8Array(), onOutput });
    expect(await running).toMatchObject({ cause: 'killed' });
    await sandbox.dead;
    expect(sandbox.state).toBe('dead');
    expect(await sandbox.stat()).toEqual({ memoryBytes: 0, memoryPeakBytes: 0, writableBytes: 0 });
  });

  conforms('it takes input while it runs, or refuses before anything has run', async () => {
    const limits = patientLimits();
    const sandbox = await driver.create('bash', scratchSpec(await driver.base('bash')), limits);
    const program = snippetOf('bash', 'while read -r line; do echo "<$line>"; done; exit 7');
    const input = new OpenInput();
    const request = { program, limits, stdin: Buffer.from('one\ntw'), input };
    if (isolation !== 'native') {
      expect(() => sandbox.run(request)).toThrow(InputUnsupportedError);
      expect(sandbox.state).toBe('created');
      await sandbox.kill();
      return;
    }
    const running = sandbox.run(request);
    await input.write(Buffer.from('o\n'));
    input.end();
    const report = await running;
    expect(Buffer.from(report.stdout).toString()).toBe('<one>\n<two>\n');
    expect(report.exitCode).toBe(7);
  });

  conforms('a sandbox that is never run is killed as well', async () => {
    const sandbox = await driver.create('bash', scratchSpec(await driver.base('bash')), patientLimits());
    expect(sandbox.state).toBe('created');
    await sandbox.kill();
    expect(() =>
      sandbox.run({ program: snippetOf('bash', ''), limits: patientLimits(), stdin: new Uint8Array() }),
    ).toThrow();
  });

  conforms('what it holds can be asked for while it runs', async () => {
    const limits = patientLimits({ wallMs: 600_000 });
    const sandbox = await driver.create('bash', scratchSpec(await driver.base('bash')), limits);
    const program = snippetOf('bash', 'head -c 3000000 /dev/zero > big; sleep 1000');
    const running = sandbox.run({ program, limits, stdin: new Uint8Array() });
    await expect
      .poll(async () => (await sandbox.stat()).writableBytes, { timeout: 60_000 })
      .toBeGreaterThan(2_900_000);
    expect((await sandbox.stat()).memoryBytes).toBeGreaterThan(2_900_000);
    await sandbox.kill();
    await running;
  });

  conforms('what it changed is captured, and nothing else', async () => {
    const ran = await snippet('bash', 'echo text > kept; echo gone > lost; rm lost; mkdir /tmp/dir', {
      captureChanges: true,
    });
    const names = tarNames(ran.report.changes);
    expect(names).toEqual(expect.arrayContaining(['tmp/dir/', 'work/kept', 'work/main.sh']));
    expect(names).toHaveLength(3);
    const nothing = await imageSpec('true', { user: { uid: 0, gid: 0, groups: [] }, workingDir: '/' });
    const idle = await command(['true'], nothing, { captureChanges: true, env: { PATH: '/usr/bin:/bin' } });
    expect(tarNames(idle.report.changes)).toEqual([]);
  });

  conforms("a deletion in the image's own files is a whiteout", async () => {
    const spec = await imageSpec('mkdir -p data; echo 1 > data/a; echo 2 > data/b', {
      user: { uid: 0, gid: 0, groups: [] },
      workingDir: '/',
    });
    const script = 'rm /data/a; echo 3 > /data/c';
    const ran = await command(['bash', '-c', script], spec, {
      captureChanges: true,
      env: { PATH: '/usr/bin:/bin' },
    });
    expect(tarNames(ran.report.changes).sort()).toEqual(['data/', 'data/.wh.a', 'data/c']);
  });

  conforms('its user is its own, and has a name', async () => {
    const code = 'import os, pwd; print(os.getuid(), pwd.getpwuid(os.getuid()).pw_name)';
    const { stdout } = await snippet('python', code);
    expect(Number(stdout.split(' ')[0])).toBeGreaterThanOrEqual(firstOwnId);
    expect(stdout).toContain(' sandbox\n');
  });

  conforms('it has no capability and can gain none', async () => {
    const { stdout } = await snippet('python', 'print(open("/proc/self/status").read())');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd'])
      expect(stdout).toMatch(new RegExp(`${set}:\\s+0000000000000000`));
    const nnp = 'import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))'; // PR_GET_NO_NEW_PRIVS
    expect((await snippet('python', nnp)).stdout).toBe('1\n');
  });

  conforms('its program is not the first process, and orphans are reaped', async () => {
    const code = [
      'import os, time',
      'assert os.getpid() != 1',
      'told, tell = os.pipe()',
      'if os.fork() == 0:',
      '  orphan = os.fork()',
      '  if orphan > 0: os.write(tell, str(orphan).encode())',
      '  os._exit(0)',
      'os.wait()',
      'orphan = os.read(told, 16).decode()',
      'while os.path.exists("/proc/" + orphan): time.sleep(0.02)',
      'print("reaped")',
    ].join('\n');
    expect((await snippet('python', code)).stdout).toBe('reaped\n');
  });

  conforms('there is no network but its own loopback', async () => {
    const code = [
      'import socket',
      'a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()',
      'socket.create_connection(a.getsockname(), 30); print("loopback")',
      'for host in ("169.254.169.254", "1.1.1.1"):',
      '  try: socket.create_connection((host, 80), 30); print("connected")',
      '  except OSError as e: print("refused")',
    ].join('\n');
    expect((await snippet('python', code)).stdout).toBe('loopback\nrefused\nrefused\n');
  });

  conforms('the image cannot be changed from a sandbox', async () => {
    const layer = (await driver.base('bash')).at(-1) as string;
    const bash = () => readFile(join(storeDir, 'layers', layer, 'usr/bin/bash'));
    const hash = async () =>
      createHash('sha256')
        .update(await bash())
        .digest('hex');
    const before = await hash();
    const own = await snippet('bash', 'echo x >> /usr/bin/bash; echo x > /new; echo x > /etc/passwd');
    expect(own.stderr.match(/Permission denied/g)).toHaveLength(3);
    const spec = await imageSpec('true', { user: { uid: 0, gid: 0, groups: [] }, workingDir: '/' });
    await command(['bash', '-c', 'cp /usr/bin/env /usr/bin/bash; rm /usr/bin/env'], spec, {
      env: { PATH: '/usr/bin:/bin' },
    });
    expect(await hash()).toBe(before);
    expect((await snippet('bash', 'echo still')).stdout).toBe('still\n');
  });

  conforms('the next sandbox finds nothing of the one before', async () => {
    const write = 'for d in /tmp /work /dev/shm; do echo secret > $d/left && echo $d; done';
    expect((await snippet('bash', write)).stdout).toBe('/tmp\n/work\n/dev/shm\n');
    const look = 'for d in /tmp /work /var/tmp /dev/shm; do echo $d/* $d/.[!.]*; done';
    expect((await snippet('bash', look)).stdout).not.toContain('left');
  });

  conforms('nothing of the host is named inside', async () => {
    const code = [
      'import os',
      'seen = [" ".join(os.uname()), str(os.environ)]',
      'for f in ("mountinfo", "cgroup", "cmdline", "environ", "maps"):',
      '  for p in ("self", "1"):',
      '    try: seen.append(open(f"/proc/{p}/{f}").read())',
      '    except OSError: pass',
      'print("\\n".join(seen))',
    ].join('\n');
    const { stdout } = await snippet('python', code);
    const host = [
      driver.launcher().socket,
      'conformance',
      'test-layers',
      '/oncebox/',
      'platform',
      'runtime/native',
    ];
    for (const name of host) expect(stdout).not.toContain(name);
  });

  conforms("what is the platform's cannot be written", async () => {
    const code = [
      'import os',
      'for p in ("/.oncebox/entry", "/.oncebox/x", "/.oncebox/job/job", "/.oncebox/job/x", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"):',
      '  try: open(p, "w").write("x"); print("wrote", p)',
      '  except OSError: pass',
      'print("done")',
    ].join('\n');
    expect((await snippet('python', code)).stdout).toBe('done\n');
    const spec = await imageSpec('true', { user: { uid: 0, gid: 0, groups: [] }, workingDir: '/' });
    const ran = await command(['python3', '-c', code], spec, { env: { PATH: '/usr/bin:/bin' } });
    // In a native sandbox there is no such directory, and a root may make it in his own layer.
    expect(ran.stdout.replaceAll(/wrote \/\.oncebox\/.*\n/g, '')).toBe('done\n');
  });

  conforms('programs run at the same time, apart from each other', async () => {
    const codes = Array.from({ length: 6 }, (_, n) => `echo ${n} > /tmp/mine; sleep 0.3; cat /tmp/mine`);
    const ran = await Promise.all(codes.map((code) => snippet('bash', code, { limits: { wallMs: 30_000 } })));
    expect(ran.map(({ stdout }) => stdout)).toEqual(codes.map((_, n) => `${n}\n`));
  });

  /** Does this to the result channel, whatever the driver's is: a file, or a pipe whose other end is not the program's. */
  const abusing = (act: string) =>
    [
      'const fs = require("fs");',
      'const fds = fs.readdirSync("/proc/self/fd").filter((fd) => fd > 2);',
      'const target = (fd) => { try { return fs.readlinkSync(`/proc/self/fd/${fd}`); } catch { return ""; } };',
      'const pipes = fds.filter((fd) => target(fd).startsWith("pipe:") && fds.filter((other) => target(other) === target(fd)).length === 1);',
      'for (const place of ["/.oncebox/result/result", ...pipes.map((fd) => `/proc/self/fd/${fd}`)]) { try {',
      act,
      '} catch {} }',
    ].join('\n');

  conforms('garbage in the result channel is no result', async () => {
    const garbage = abusing('fs.writeFileSync(place, "{\\"type\\":\\"result\\"");');
    const ran = await handler('node', `exports.handler = () => { ${garbage}; process.exit(0) }`);
    expect(ran.outcome).toMatchObject({ status: 'function_error', name: 'NoResult' });
    const deep = abusing('fs.writeFileSync(place, "[".repeat(100000));');
    const after = await handler('node', `exports.handler = () => { ${deep}; process.exit(0) }`);
    expect(after.outcome).toMatchObject({ status: 'function_error', name: 'NoResult' });
  });

  conforms('a result that is too large is a function error, and one forced upon us is cut off', async () => {
    const name = 'Function.ResponseSizeTooLarge';
    const node = await handler('node', 'exports.handler = () => "x".repeat(7 * 1024 * 1024)');
    expect(node.outcome).toMatchObject({ status: 'function_error', name });
    const python = await handler('python', 'handler = lambda event, context: "x" * (7 * 1024 * 1024)');
    expect(python.outcome).toMatchObject({ status: 'function_error', name });
    const flood = abusing(
      'for (let i = 0; i < 8; i++) fs.appendFileSync(place, Buffer.alloc(1 << 20, 120));',
    );
    const ran = await handler('node', `exports.handler = () => { ${flood}; process.exit(0) }`);
    expect(['limit_exceeded', 'function_error']).toContain(ran.outcome.status);
    expect(ran.report.result.length).toBeLessThanOrEqual(6 * MiB);
  });

  conforms('a result written twice is one or none, and never another kind of end', async () => {
    const twice = abusing('fs.writeFileSync(place, JSON.stringify({ type: "result", value: "forged" }));');
    const ran = await handler('node', `exports.handler = () => { ${twice}; return "own" }`);
    expect(ran.outcome).toSatisfy(
      (outcome: typeof ran.outcome) =>
        (outcome.status === 'ok' && ['own', 'forged'].includes(outcome.result as string)) ||
        (outcome.status === 'function_error' && outcome.name === 'NoResult'),
    );
    const failing = await handler('node', `exports.handler = () => { ${twice}; process.exit(9) }`);
    expect(failing.outcome).toEqual({ status: 'exited', exitCode: 9 });
  });

  conforms('what is no file in the place of the result is no result, and nobody waits for it', async () => {
    const acts = [
      'import os; os.mkfifo(path)',
      'import os; os.symlink("/etc/passwd", path)',
      'import os; os.symlink("/proc/self/fd/0", path)',
      'import os; os.mkdir(path)',
      'import os; os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 40)',
      'import socket; socket.socket(socket.AF_UNIX).bind(path)',
    ];
    for (const act of acts) {
      const code = `import os\npath = "/.oncebox/result/result"\ntry:\n  ${act.replace('; ', '\n  ')}\nexcept OSError: pass\nos._exit(0)`;
      const ran = await snippet('python', code);
      // A terabyte of holes is more than a result may be; all else is nothing at all.
      if (ran.outcome.status !== 'limit_exceeded') expect(ran.outcome).toEqual({ status: 'ok' });
      expect(ran.report.result.length).toBe(0);
    }
  });

  conforms('nothing is left of forty programs, some killed', async () => {
    await snippet('bash', 'true');
    const before = await takeCensus(driver.launcher().pid);
    let started = 0;
    const one = async () => {
      while (started < 40) {
        const isKilled = started++ % 4 === 0;
        const code = isKilled ? 'setsid sleep 1000 & sleep 1000' : '(setsid sleep 1000 &); echo x > f; cat f';
        const ran = await snippet('bash', code, { limits: isKilled ? { wallMs: 300 } : {} });
        if (!isKilled) expect(ran.stdout).toBe('x\n');
      }
    };
    await Promise.all([one(), one(), one(), one()]);
    expect(await takeCensus(driver.launcher().pid)).toEqual(before);
  });

  conforms('a layer that is not there is said', async () => {
    const missing = driver.create('bash', scratchSpec(['f'.repeat(64)]), patientLimits());
    await expect(missing).rejects.toThrow(/layer|overlay/);
    expect((await snippet('bash', 'echo still')).stdout).toBe('still\n');
  });

  conforms('with the launcher dies all that it made, and the next one sweeps its cgroups', async () => {
    const doomed = await driver.startDoomedLauncher();
    const limits = patientLimits({ wallMs: 600_000 });
    const spec = scratchSpec(await driver.base('bash'));
    const sandbox = await driver.create('bash', spec, limits, doomed);
    const running = sandbox.run({
      program: snippetOf('bash', 'sleep 1000'),
      limits,
      stdin: new Uint8Array(),
    });
    const lost = running.catch((error: Error) => error);
    const children = await descendants(doomed.pid);
    expect(children.length).toBeGreaterThan(0);
    await doomed.stop('SIGKILL');
    expect(await lost).toMatchObject({ name: 'SandboxLostError' });
    await sandbox.dead;
    const isAlive = (pid: number) => {
      try {
        process.kill(pid, 0);
        return true;
      } catch {
        return false;
      }
    };
    await expect.poll(() => children.filter(isAlive), { timeout: 60_000 }).toEqual([]);
    const left = async () => (await onceboxCgroups()).filter((path) => path.includes(`/${doomed.instance}`));
    expect(await left()).not.toEqual([]);
    await (await driver.startDoomedLauncher(doomed.instance)).stop();
    expect(await left()).toEqual([]);
  });

  conforms('who loses his worker is gone, with his cgroups', async () => {
    await snippet('bash', 'true');
    const launcher = driver.launcher();
    const before = await takeCensus(launcher.pid);
    const worker = spawn(process.execPath, ['--import', 'tsx', doomedWorker, isolation, launcher.socket], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    worker.stdin.end(JSON.stringify(await driver.base('bash')));
    await once(worker.stdout, 'data');
    expect((await takeCensus(launcher.pid)).cgroups).toBeGreaterThan(before.cgroups);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    await expect.poll(() => takeCensus(launcher.pid), { timeout: 60_000 }).toEqual(before);
  });

  test('every reason to skip is for a case', () => {
    expect([...unused]).toEqual([]);
  });
}

/** Names of a tar's entries: 512-byte headers, sizes in octal; extended headers are skipped. */
function tarNames(tar: Uint8Array | undefined): string[] {
  const bytes = Buffer.from(tar ?? []);
  const names: string[] = [];
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const text = (from: number, length: number) =>
      bytes.toString('latin1', at + from, at + from + length).split('\0')[0] as string;
    if (!'xg'.includes(text(156, 1))) names.push([text(345, 155), text(0, 100)].filter(Boolean).join('/'));
    at += 512 + Math.ceil(Number.parseInt(text(124, 12), 8) / 512) * 512;
  }
  return names;
}
