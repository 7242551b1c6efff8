import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { Program } from '../../sdk/contract/program.ts';
import {
  cgroupRoot,
  check,
  exists,
  expect,
  MiB,
  openZoneOf,
  run,
  sandboxCgroups,
  startLauncher,
  store,
  zones,
} from './guest-platform.ts';

/** Launcher, zones and sandboxes on cgroup v2, without the services. */
let launcher = await startLauncher();

await check('the machine has cgroup v2 and no controller on v1', async () => {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  expect(/ - cgroup2 /.test(mounts) && !/ - cgroup /.test(mounts), mounts);
});

for (const runtime of ['node', 'python', 'bash'] as const) {
  await check(`a ${runtime} zone opens`, () => openZoneOf(runtime));
}

const snippets = { node: 'console.log(1 + 1)', python: 'print(1 + 1)', bash: 'echo $((1 + 1))' } as const;
for (const runtime of ['node', 'python', 'bash'] as const) {
  await check(`a ${runtime} snippet gives 2, and its cpu time and memory are known`, async () => {
    const ran = await run(runtime, snippets[runtime]);
    expect(ran.outcome.status === 'ok' && ran.stdout === '2\n', ran);
    expect(ran.report.cpuUsec > 0 && ran.report.memoryPeakBytes > 0, ran);
  });
}

await check('every cap is in the kernel as it was asked for', async () => {
  const zone = zones.get('bash') as Zone;
  const sandbox = await zone.create(scratchSpec((await store.resolve('bash')).layers));
  const limits = {
    ...defaultLimits(),
    memoryBytes: 64 * MiB,
    cpus: 0.5,
    pids: 10,
    wallMs: 60_000,
    cpuMs: 60_000,
  };
  const files = [{ path: 'main.sh', content: 'echo started; sleep 1000', encoding: 'utf8' as const }];
  const program: Program = { kind: 'snippet', files, entry: 'main.sh', args: [], env: {} };
  const ran = sandbox.run({ program, limits, stdin: Buffer.alloc(0) });
  await sandbox.stat(); // answered after the request before it was carried out
  const [directory] = await sandboxCgroups();
  const values = await Promise.all(
    ['memory.max', 'memory.oom.group', 'cpu.max', 'pids.max', '../agent/cpu.weight'].map(async (file) =>
      (await readFile(join(cgroupRoot, 'oncebox/vm', directory as string, file), 'utf8')).trim(),
    ),
  );
  await sandbox.kill();
  expect((await ran).cause === 'killed', await ran);
  expect(values.join() === `${64 * MiB},1,50000 100000,10,10000`, values);
});

await check('a sandbox sees its own cgroup as the root', async () => {
  const ran = await run('bash', 'cat /proc/self/cgroup');
  expect(ran.stdout === '0::/\n', ran);
});

await check('a program cannot raise its own caps', async () => {
  const ran = await run('bash', 'mkdir c; mount -t cgroup2 c c || ls /sys/fs/cgroup');
  expect(ran.outcome.status === 'exited' && ran.stdout === '', ran);
});

const allocations = {
  node: 'const b = []; for (let i = 0; i < 200; i++) b.push(Buffer.alloc(1 << 20, 1)); console.log("survived")',
  python: 'b = bytearray(200 << 20); print("survived")',
  bash: 'x=$(head -c 200M /dev/zero | tr "\\0" x); echo survived',
} as const;
for (const runtime of ['node', 'python', 'bash'] as const) {
  await check(`200 MB in a ${runtime} sandbox of 64 MiB are oom_killed`, async () => {
    const ran = await run(runtime, allocations[runtime], { memoryBytes: 64 * MiB });
    expect(ran.outcome.status === 'oom_killed' && ran.stdout === '', ran);
    expect(ran.report.memoryPeakBytes > 32 * MiB && ran.report.memoryPeakBytes <= 64 * MiB, ran);
  });
}

await check('the writable layer counts against the memory cap', async () => {
  const ran = await run('bash', 'head -c 100M /dev/zero > file; echo survived', {
    memoryBytes: 64 * MiB,
    diskBytes: 200 * MiB,
  });
  expect(ran.outcome.status === 'oom_killed', ran);
});

await check('a sleeping program ends at its wall time, with what it had written', async () => {
  const ran = await run('bash', 'echo before; sleep 1000', { wallMs: 20_000 });
  expect(ran.outcome.status === 'timeout' && ran.outcome.limit === 'wall' && ran.stdout === 'before\n', ran);
});

await check('a busy program ends at its cpu time', async () => {
  const ran = await run('python', 'while True: pass', { cpuMs: 700 });
  expect(ran.outcome.status === 'timeout' && ran.outcome.limit === 'cpu', ran);
  // Who looks may be kept from it, and meanwhile the program goes on.
  expect(ran.report.cpuUsec >= 700_000 && ran.report.cpuUsec < 30_000_000, ran);
});

await check('a quarter of a core is a quarter of a core', async () => {
  const ran = await run('python', 'while True: pass', { cpus: 0.25, wallMs: 10_000 });
  expect(ran.outcome.status === 'timeout' && ran.outcome.limit === 'wall', ran);
  // What it takes at once it gives back later; the last of it, it need not.
  expect(ran.report.cpuUsec > 300_000 && ran.report.cpuUsec < ran.report.runUsec / 2, ran);
});

await check('a fork beyond the pids cap is refused and named', async () => {
  const code = 'import os, time\nfor i in range(50):\n  if os.fork() == 0: time.sleep(1000)';
  const ran = await run('python', code, { pids: 10 });
  expect(ran.outcome.status === 'limit_exceeded' && ran.outcome.limit === 'pids', ran);
});

await check('a fork bomb is contained', async () => {
  const ran = await run('bash', ':() { : | : & }; :; wait; sleep 1000', {
    pids: 20,
    wallMs: 20_000,
    cpuMs: 60_000,
  });
  expect(ran.outcome.status !== 'ok' && ran.report.pidsRefused > 0, ran);
});

await check('a file beyond the disk cap is refused and named', async () => {
  const ran = await run('bash', 'head -c 20M /dev/zero > file', { diskBytes: 8 * MiB });
  expect(ran.outcome.status === 'limit_exceeded' && ran.outcome.limit === 'disk', ran);
});

await check('what a sandbox writes is not there in the next', async () => {
  const code = 'echo mine | tee /work/left /tmp/left; ls /work/left /tmp/left; touch /left && echo touched';
  const first = await run('bash', code);
  expect(first.stdout.startsWith('mine\n/tmp/left\n/work/left\n'), first);
  const next = await run('bash', 'ls /work /tmp /');
  expect(!next.stdout.includes('left'), next);
});

// tmpfs has user xattrs, in which overlayfs marks directories, since Linux 6.6 only.
for (const place of ['/work', '/tmp']) {
  await check(`a directory in ${place} can be renamed, and removed and made again`, async () => {
    const code = `import os\nos.chdir("${place}")\nos.mkdir("a")\nos.rename("a", "b")\nos.rmdir("b")\nos.mkdir("b")`;
    const ran = await run('python', code);
    expect(ran.outcome.status === 'ok', ran);
  });
}

await check('twenty sandboxes at once are made, run and removed', async () => {
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => run('python', `print(${i})`)));
  expect(
    all.every((ran, i) => ran.stdout === `${i}\n`),
    all.map((ran) => ran.stdout),
  );
});

await check('the dead leave no cgroup', async () => {
  const left = await sandboxCgroups();
  expect(left.length === 0, left);
});

await check('a launcher that was killed leaves nothing that the next one does not take away', async () => {
  const closed = [...zones.values()].map((zone) => zone.closed);
  launcher.kill('SIGKILL');
  await Promise.all(closed);
  expect(await exists(join(cgroupRoot, 'oncebox/vm')), 'no cgroups: nothing to sweep');
  launcher = await startLauncher();
  const left = await exists(join(cgroupRoot, 'oncebox/vm'));
  expect(!left, 'cgroups of the killed launcher are left');
});

await check('after SIGTERM no cgroup and no process is left', async () => {
  await openZoneOf('python');
  expect(
    (await run('python', 'print(1 + 1)')).stdout === '2\n',
    'the zone of a second launcher does not work',
  );
  launcher.kill('SIGTERM');
  await once(launcher, 'exit');
  expect(!(await exists(join(cgroupRoot, 'oncebox'))), 'cgroups are left');
  const members = (await readFile(join(cgroupRoot, 'cgroup.procs'), 'utf8')).trim().split('\n');
  const names = await Promise.all(
    members.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'ended')),
  );
  expect(!names.some((name) => /^(agent|zygote|init)$/m.test(name.trim())), names);
});

await check(
  'a container with a cgroup namespace of its own, whose root has members, can hold a launcher',
  async () => {
    const box = join(cgroupRoot, 'box');
    await mkdir(box);
    const enter = `echo $$ > ${box}/cgroup.procs && exec unshare --cgroup --mount sh -c "$0" "$@"`;
    const mount = `umount ${cgroupRoot} && mount -t cgroup2 cgroup2 ${cgroupRoot} && exec "$0" "$@"`;
    launcher = await startLauncher('sh', '-c', enter, mount);
    await openZoneOf('python');
    const ran = await run('python', 'bytearray(200 << 20)', { memoryBytes: 64 * MiB });
    expect(ran.outcome.status === 'oom_killed', ran);
    launcher.kill('SIGTERM');
    await once(launcher, 'exit');
    expect(!(await exists(join(box, 'oncebox'))), 'cgroups are left');
  },
);

await check("the drivers' unit tests pass on cgroup v2", async () => {
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
  const args = [vitest, 'run', '--cache=false', '--configLoader=runner', 'test/native/cgroup'];
  const env = { ...process.env, ONCEBOX_MUST_WORK: '1' };
  const tests = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  const output = text(tests.stdout);
  const [code] = await once(tests, 'exit');
  expect(code === 0, await output);
});
