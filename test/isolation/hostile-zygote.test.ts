import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { SandboxLostError, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import { descendants } from '../support/host.ts';
import { useLayers } from '../support/layers.ts';
import { useZones } from '../support/zones.ts';

const execute = promisify(execFile);
const layers = useLayers();
const zones = useZones({ layersDir: layers.layersDir });
const source = resolve(import.meta.dirname, 'fixtures/hostile-zygote.c');

/** An image whose node is the fixture; `what` is the macro that says what it does. */
const imageThat = (what: string) =>
  layers.add(`mkdir -p opt/bin tmp; chmod 1777 tmp; musl-gcc -static -D${what} -o opt/bin/node ${source}`);

const open = (layer: string, interpreter: 'node' | 'python' = 'node') =>
  openZone({
    launcherSocket: zones.socket(),
    interpreter,
    layers: [layer],
    searchPath: 'relative:/nowhere:/opt/bin',
  });

/** Nothing of the zone is left once its agent has been reaped. */
async function noneIsLeft(): Promise<void> {
  await expect.poll(() => descendants(zones.launcherPid()), { timeout: 60_000 }).toEqual([]);
}

test("an image's own node can do nothing to its agent, its mounts or other layers", async () => {
  const layer = await imageThat('ATTACK');
  const said = await open(layer).then(String, String);
  const results = Object.fromEntries(
    [...said.matchAll(/(\w+)=(\w+)/g)].map(([, name, result]) => [name, result]),
  );
  const allowed = Object.keys(results).filter((name) => results[name] === 'OK');
  expect(allowed, said).toEqual(['unshare_cgroup', 'own_namespace']);
  expect(Object.keys(results).length).toBeGreaterThanOrEqual(24);
  // The control: the host's root, with a mount and a pid namespace of its own, is refused almost none of this.
  const program = join(layers.layersDir, layer, 'opt/bin/node');
  const { stdout } = await execute('unshare', ['-mpf', '--mount-proc', 'bash', '-c', `${program}; true`]);
  for (const name of [
    'mount',
    'open_tree',
    'fsopen',
    'unshare_mounts',
    'clone_mounts',
    'chroot',
    'pidfd_open',
  ]) {
    expect(stdout).toContain(`${name}=OK`);
  }
  for (const name of ['prlimit', 'keyctl']) expect(stdout).toContain(`${name}=OK`);
  await noneIsLeft();
});

test.each([
  ['GARBAGE', /sent what is no event/],
  ['LIE', /answered what it was not asked/],
])('a zygote that speaks %s costs its zone', async (what, reason) => {
  const opened = open(await imageThat(what));
  const zone = await opened.catch((error: Error) => error);
  if (zone instanceof Error) expect(zone.message).toMatch(reason);
  else await zone.closed;
  await noneIsLeft();
});

test('a zygote that lies about sandboxes and forks none harms none of another zone', async () => {
  const zone = await open(await imageThat('LIE_ABOUT_SANDBOXES'));
  const sandbox = zone.create(scratchSpec([await imageThat('SILENT')])).catch((error) => error);
  await zone.close();
  expect(await sandbox).toBeInstanceOf(SandboxLostError);
  await noneIsLeft();
});

test('a fork bomb in a zygote stays in its cgroup', async () => {
  const said = await open(await imageThat('FORK_BOMB')).then(String, String);
  const forks = Number(/forks=(\d+)/.exec(said)?.[1]);
  expect(forks).toBeGreaterThan(400);
  expect(forks).toBeLessThan(512);
  await noneIsLeft();
});

test('a zygote that takes 3 GiB is killed; one that takes half of one is not', async () => {
  await expect(open(await imageThat('MEMORY=512'))).rejects.toThrow(/ended before it was ready: took=512/);
  const greedy = await open(await imageThat('MEMORY=3072')).then(String, String);
  expect(greedy).toMatch(/ended before it was ready/);
  expect(greedy).not.toContain('took');
  await noneIsLeft();
});

test('what a zygote floods its output with is neither kept nor able to command a terminal', async () => {
  const said = await open(await imageThat('NOISE')).then(String, String);
  expect(said).toContain('quiet');
  expect(said.length).toBeLessThan(1_500);
  expect(said).not.toContain('\u001b');
});

test('an image without the interpreter says where it was looked for', async () => {
  await expect(open(await imageThat('SILENT'), 'python')).rejects.toThrow(
    /cannot execute python3, looked for in relative:\/nowhere:\/opt\/bin: No such file/,
  );
});

test('a zygote that is never ready is given up', async () => {
  await expect(open(await imageThat('SILENT'))).rejects.toThrow(/not ready in time/);
  await noneIsLeft();
});
