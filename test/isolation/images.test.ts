import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import type { SandboxSpec, Zone } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { runCommand } from '../support/commands.ts';
import { useLayers } from '../support/layers.ts';
import { storeDir, useZones } from '../support/zones.ts';

const layers = useLayers();
const zones = useZones({ layersDir: layers.layersDir });
const root = { uid: 0, gid: 0, groups: [] };
let debian: string[];
let zone: Zone;

beforeAll(async () => {
  debian = await layers.addBase('bash', storeDir);
  zone = await openZone({
    launcherSocket: zones.socket(),
    interpreter: 'exec',
    layers: debian,
    searchPath: defaultSearchPath,
  });
});

function imageSpec(spec: Partial<SandboxSpec> = {}): SandboxSpec {
  return { layers: debian, user: root, workingDir: '/', scratch: false, ...spec };
}
const run = (argv: string[], spec: Partial<SandboxSpec> = {}, env?: Record<string, string>) =>
  runCommand(zone, imageSpec(spec), argv, env ? { env } : {});
const sh = (script: string, spec: Partial<SandboxSpec> = {}) => run(['bash', '-c', script], spec);

test('a command runs as the user that the spec names, with its groups', async () => {
  expect((await run(['id'])).stdout).toBe('uid=0(root) gid=0(root) groups=0(root)\n');
  const user = { uid: 33, gid: 34, groups: [4, 20] };
  expect((await sh('id -u; id -g; id -G; touch /etc/x 2>&1 || true', { user })).stdout).toMatch(
    /^33\n34\n34 4 20\n.*Permission denied/,
  );
});

test('a user without a name or a shell in the image is one all the same', async () => {
  expect((await run(['id', '-u'], { user: { uid: 65_535, gid: 65_535, groups: [] } })).stdout).toBe(
    '65535\n',
  );
});

test("the image's root has no capability, and no way to the init", async () => {
  const { stdout, stderr } = await sh(
    'cat /proc/self/status; kill -9 1; kill -0 1; ls /proc/1/root/ /proc/1/fd; chown 5:5 /etc/passwd; cat /proc/1/environ',
  );
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
    expect(stdout).toMatch(new RegExp(`${set}:\\s+0000000000000000`));
  }
  expect(stdout).toMatch(/NoNewPrivs:\s+1/);
  expect(stderr.match(/not permitted|denied/g)?.length).toBeGreaterThanOrEqual(6);
  // The control: on what is its own, root may do all of this.
  const own = await sh(
    'sleep 9 & kill -9 $!; touch /etc/x && chmod 600 /etc/passwd && rm /etc/x && echo done',
  );
  expect(own.stdout).toBe('done\n');
});

test("the init is under the sandbox's own filter, without capabilities to gain", async () => {
  const { stdout } = await sh('grep -E "^(Cap|NoNew|Seccomp:|Uid)" /proc/1/status');
  expect(stdout).toMatch(/CapBnd:\s+0000000000000000/);
  expect(stdout).toMatch(/NoNewPrivs:\s+1\nSeccomp:\s+2/);
  expect(stdout).toMatch(/Uid:\s+65537/);
});

test('what the platform makes in a root belongs to root', async () => {
  const { stdout } = await sh('stat -c "%u:%g %a %n" / /dev /tmp /dev/shm');
  expect(stdout).toBe('0:0 755 /\n0:0 755 /dev\n0:0 1777 /tmp\n0:0 1777 /dev/shm\n');
});

test('without scratch nothing lies over /work and /tmp, and /tmp and /dev/shm are writable', async () => {
  const user = { uid: 1000, gid: 1000, groups: [] };
  const { stdout } = await sh(
    'grep -cE " (/work|/tmp) " /proc/self/mounts; echo a > /tmp/a; echo b > /dev/shm/b; cat /tmp/a /dev/shm/b',
    {
      user,
    },
  );
  expect(stdout).toBe('0\na\nb\n');
});

test("the environment is the command's own, all of it", async () => {
  expect((await run(['/usr/bin/env'], {}, { A: '1', HOME: '/x' })).stdout).toBe('A=1\nHOME=/x\n');
});

test('a program is looked for in the PATH of its environment', async () => {
  const layer = await layers.add(
    'mkdir -p opt/bin; printf "#!/bin/sh\\necho found" > opt/bin/tool; chmod 755 opt/bin/tool; echo text > opt/bin/plain; ' +
      'printf "\\x7fELFgarbage" > opt/bin/broken; chmod 755 opt/bin/broken; echo echo script > opt/bin/bare; chmod 755 opt/bin/bare',
  );
  const spec = { layers: [layer, ...debian] };
  const env = { PATH: '/nowhere:/opt/bin:/bin' };
  expect((await run(['tool'], spec, env)).stdout).toBe('found\n');
  const failures = { missing: 127, plain: 126, broken: 126, bare: 126, '/opt/bin/missing': 127, '/opt': 126 };
  for (const [name, exitCode] of Object.entries(failures)) {
    const ran = await run([name], spec, env);
    expect({ name, outcome: ran.outcome }).toEqual({ name, outcome: { status: 'exited', exitCode } });
    expect(ran.stderr).toContain(`cannot execute ${name}`);
  }
  expect((await run(['bare'], spec, env)).stderr).toContain('Exec format error');
});

test('a working directory that the image lacks is made, and is the user’s', async () => {
  const user = { uid: 1000, gid: 1001, groups: [] };
  const { stdout } = await sh('pwd; stat -c %u:%g . ..; touch x && echo ok', {
    user,
    workingDir: '/srv/a/b',
  });
  expect(stdout).toBe('/srv/a/b\n1000:1001\n0:0\nok\n');
});

test('a working directory that cannot be entered is said, and is the exit code of a command that did not run', async () => {
  const layer = await layers.add('mkdir -m 700 closed; touch file; ln -s / link');
  const spec = { layers: [layer, ...debian], user: { uid: 1000, gid: 1000, groups: [] } };
  const closed = await sh('echo ran', { ...spec, workingDir: '/closed' });
  expect(closed.outcome).toEqual({ status: 'exited', exitCode: 126 });
  expect(closed.stderr).toBe('oncebox: cannot enter the working directory /closed: Permission denied\n');
  await expect(zone.create(imageSpec({ ...spec, workingDir: '/file' }))).rejects.toThrow(/\/file/);
  expect((await sh('pwd', { ...spec, workingDir: '/link' })).stdout).toBe('/\n');
});

test('no working directory leads out through /proc', async () => {
  for (const workingDir of [
    '/proc/self/fd/3',
    '/proc/1/root',
    '/proc/self/cwd',
    '/proc/self/fd/3/../../..',
  ]) {
    const ran = await sh('pwd', { workingDir });
    expect(ran.outcome, workingDir).toEqual({ status: 'exited', exitCode: 126 });
  }
  expect((await sh('pwd', { workingDir: '/../../..' })).stdout).toBe('/\n');
});

test('an image without anything but one static program of another libc runs it', async () => {
  const source =
    'int main(int n, char **v) { printf("%d %s %s\\n", (int)getuid(), getcwd(b, 99), v[1]); return n; }';
  const layer = await layers.add(
    `mkdir app; cat > tiny.c <<'C'\n#include <stdio.h>\n#include <unistd.h>\nchar b[99];\n${source}\nC\nmusl-gcc -static -o app/tiny tiny.c; rm tiny.c`,
  );
  const spec = { layers: [layer], workingDir: '/data', user: { uid: 7, gid: 7, groups: [] } };
  const ran = await runCommand(zone, imageSpec(spec), ['tiny', 'x'], { env: { PATH: '/app' } });
  expect(ran).toMatchObject({ stdout: '7 /data x\n', outcome: { status: 'exited', exitCode: 2 } });
});

test('a hundred and twenty-seven layers are stacked in their order', async () => {
  const added = await Promise.all(
    Array.from({ length: 127 - debian.length }, (_, n) =>
      layers.add(`echo ${n} > top; echo ${n} > only-${n}`),
    ),
  );
  const spec = { layers: [...added, ...debian] };
  expect((await sh('cat top; ls /only-* | wc -l', spec)).stdout).toBe(`0\n${added.length}\n`);
  await expect(
    zone.create(imageSpec({ layers: [...spec.layers, added[0] as string, added[1] as string] })),
  ).rejects.toThrow(/too many/);
});

/** What an image has where the platform expects something else: either it runs, or it says why not. */
const strangeRoots: [script: string, refusal: RegExp | undefined][] = [
  ['ln -s /proc/1/root tmp', /\/tmp/],
  ['mkdir proc; ln -s /proc/self/root tmp', /\/tmp/],
  ['ln -s ../../../../tmp work', undefined],
  ['ln -s ../../.. work', /\/work/],
  ['ln -s /dev etc', undefined],
  ['ln -s /etc proc', /\/proc/],
  ['ln -s /etc dev', /\/dev/],
  ['touch proc', /\/proc/],
  ['touch dev', /\/dev/],
  ['touch tmp', /\/tmp/],
  ['ln -s loop tmp; ln -s tmp loop', /\/tmp/],
  ['mkdir dev; touch dev/null; ln -s /etc dev/shm', undefined],
  ['mkdir etc; mkfifo etc/passwd', undefined],
  ['mkdir etc; ln -s /work/x etc/passwd', undefined],
  ['mkdir etc; mkdir etc/passwd', undefined],
  ['mkdir etc; truncate -s 1G etc/passwd', undefined],
  ['mkdir var; ln -s var/run run; ln -s /run var/run', undefined],
  ['ln -s /proc/sys tmp', /\/tmp/],
];

test.each(strangeRoots)('an image with "%s" harms nobody', async (script, refusal) => {
  const program = await layers.add(
    'mkdir app; printf "int main(){return 0;}" | musl-gcc -static -xc - -o app/true',
  );
  const strange = await layers.add(script);
  const stamp = await layers.add('touch stamp');
  const spec: SandboxSpec = { layers: [strange, program], workingDir: '/work', scratch: true };
  const ran = runCommand(zone, spec, ['true'], { env: { PATH: '/app' } });
  if (refusal) await expect(ran).rejects.toThrow(refusal);
  else expect((await ran).outcome).toEqual({ status: 'ok' });
  const find = [
    layers.layersDir,
    '-cnewer',
    join(layers.layersDir, stamp, 'stamp'),
    '-not',
    '-path',
    `*${stamp}*`,
  ];
  expect((await promisify(execFile)('find', find)).stdout).toBe('');
  expect((await sh('echo still')).stdout).toBe('still\n');
});

test('a spec that no image could have is refused', async () => {
  const bad: [Partial<SandboxSpec>, RegExp][] = [
    [{ user: { uid: 65_536, gid: 0, groups: [] } }, /user is no id/],
    [{ user: { uid: 0, gid: 70_000, groups: [] } }, /user is no id/],
    [{ user: { uid: 0, gid: 0, groups: [65_537] } }, /group is no id/],
    [{ user: { uid: 0, gid: 0, groups: Array(33).fill(1) } }, /too many groups/],
    [{ workingDir: 'relative' }, /absolute/],
    [{ layers: [] }, /layer/],
  ];
  for (const [spec, reason] of bad) await expect(zone.create(imageSpec(spec))).rejects.toThrow(reason);
});
