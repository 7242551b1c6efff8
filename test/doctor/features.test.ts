import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { expect, onTestFinished, test, vi } from 'vitest';
import { cgroupRoots } from '../../services/doctor/leaks/cgroups.ts';
import { hostMounts } from '../support/platform.ts';

const root = resolve(import.meta.dirname, '../..');
const doctor = [process.execPath, join(root, 'bin/oncebox'), 'doctor'] as const;

interface Seen {
  group: string;
  name: string;
  state: string;
  found: string;
  without?: string;
  remedy?: string;
}

test('on a machine that runs oncebox nothing that is required is missing, and nothing stays behind', async () => {
  const before = await traces();
  const { code, features } = await look([]);
  const required = features.filter(({ group }) => group === 'required');
  expect(required.filter(({ state }) => !['there', 'weak'].includes(state))).toEqual([]);
  expect(required.length).toBeGreaterThan(20);
  expect(code).toBe(0);
  // Another that looks at this machine now has such a thing for a moment.
  await vi.waitFor(
    async () => expect((await traces()).filter((trace) => !before.includes(trace))).toEqual([]),
    { timeout: 60_000, interval: 100 },
  );
});

test('what is not there is said with its meaning and what to do, and ends with 1', async () => {
  // As in a container that is not privileged.
  const masked = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs mask /proc/irq && exec "$@"', '-'];
  const { code, features } = await look(masked);
  expect(features.filter(({ group, state }) => group === 'required' && state === 'missing')).toEqual([
    expect.objectContaining({
      name: 'unmasked /proc',
      found: 'EPERM: mount a proc',
      without: 'no zone can be made',
      remedy: expect.stringContaining('systempaths=unconfined'),
    }),
  ]);
  expect(code).toBe(1);
  const shown = await run([...masked, ...doctor]);
  expect(shown.stdout).toContain('NO unmasked /proc:');
  expect(shown.stdout).toContain('oncebox cannot run on this machine as it is.');
});

test('in a chroot there are no user namespaces, and so nothing that is made in one', async () => {
  const place = await mkdtemp(join(tmpdir(), 'oncebox-chroot-'));
  onTestFinished(() => rmdir(place));
  const script = `mount --rbind / ${place} && exec chroot ${place} "$@"`;
  const { code, features } = await look(['unshare', '--mount', 'sh', '-c', script, '-']);
  const missing = features.filter(({ state }) => state === 'missing').map(({ name }) => name);
  expect(missing).toContain('user namespaces');
  expect(missing).not.toContain('openat2');
  expect(code).toBe(1);
});

test('an ordinary user is told what could not be seen', async () => {
  const user = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const { code, features } = await look(user);
  const state = (name: string) => features.find((feature) => feature.name === name)?.state;
  expect(state('root')).toBe('unseen');
  expect(state('cgroups can be made')).toBe('unseen');
  expect(state('openat2')).toBe('there');
  expect(code).toBe(0);
  expect((await run([...user, ...doctor])).stdout).toContain('of what could be seen');
});

test('every try of the kernel has words, and every word its try', async () => {
  const probe = join(root, 'runtime/native/build/oncebox-probe-features');
  const { stdout } = await promisify(execFile)(probe, [root]);
  const tried = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).name as string);
  const words = await readFile(join(root, 'services/doctor/features/kernel-tries.ts'), 'utf8');
  const described = [...words.matchAll(/^ {2}'?([a-z0-9_-]+)'?: \{$/gm)].map(([, name]) => name as string);
  expect(new Set(tried)).toEqual(new Set([...described, 'ordinary-user-namespaces']));
});

test('colours are for terminals', async () => {
  expect((await run(doctor)).stdout).not.toContain('\u001b[');
  const onTerminal = await run(['script', '-qec', doctor.join(' '), '/dev/null']);
  expect(onTerminal.stdout).toContain('\u001b[32myes');
});

async function look(prefix: readonly string[]): Promise<{ code: number; features: Seen[] }> {
  const { code, stdout, stderr } = await run([...prefix, ...doctor, '--json']);
  expect(stderr).toBe('');
  return { code, ...(JSON.parse(stdout) as { features: Seen[] }) };
}

async function run([file = '', ...args]: readonly string[]) {
  const env = { PATH: process.env.PATH, TERM: 'xterm' };
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: (await closed)[0] as number, stdout, stderr };
}

/** Cgroups that it makes, and mounts. */
async function traces(): Promise<string[]> {
  const cgroups = await Promise.all(cgroupRoots().map((path) => readdir(path)));
  return [...cgroups.flat().filter((name) => name.startsWith('oncebox-doctor')), ...(await hostMounts())];
}
