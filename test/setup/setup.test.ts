import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';

const repo = join(import.meta.dirname, '../..');
const script = join(repo, 'scripts/setup.mjs');

function useDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'oncebox-setup-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, output: stdout + stderr };
}

/** What a run of node that says nothing takes: on a busy machine its wall time says more about the others. */
async function cpuSeconds(...args: string[]): Promise<number> {
  const timed = 'TIMEFORMAT="%U %S"; time "$@"';
  const { code, output } = await run('bash', ['-c', timed, 'bash', process.execPath, ...args]);
  expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/^[\d.]+ [\d.]+\n$/) });
  return output.split(' ').reduce((sum, seconds) => sum + Number(seconds), 0);
}

/** What set-up would touch: an entry's time tells of any change. */
const fingerprint = () =>
  ['node_modules/.package-lock.json', 'package-lock.json'].map((path) => statSync(join(repo, path)).mtimeMs);

test('when nothing is missing, set-up says nothing, starts no process and costs about as much as a start of node', async () => {
  // Source edited since the last set-up is built here, not in the measured run.
  expect((await run(process.execPath, [script])).code).toBe(0);
  const alone = ['--no-warnings', '--experimental-permission', '--allow-fs-read=*', '--allow-fs-write=*'];
  const spawns = await run(process.execPath, [...alone, '-e', 'child_process.spawnSync("true")']);
  expect(spawns.output, 'the control').toContain('ERR_ACCESS_DENIED');
  expect(await run(process.execPath, [...alone, script])).toEqual({ code: 0, output: '' });
  const best = { nothing: Number.POSITIVE_INFINITY, setUp: Number.POSITIVE_INFINITY };
  for (let round = 0; round < 5; round++) {
    best.nothing = Math.min(best.nothing, await cpuSeconds('-e', '0'));
    best.setUp = Math.min(best.setUp, await cpuSeconds(script));
  }
  expect(best.setUp / best.nothing).toBeLessThan(5);
});

test('on a distribution it does not know, set-up names what is missing and what is not, and changes nothing', async () => {
  const dir = useDirectory();
  const dataDir = join(dir, 'data');
  const bin = join(dir, 'bin');
  writeFileSync(join(dir, 'os-release'), 'ID=slackware\nPRETTY_NAME="Slackware 15"\nVERSION_ID=15\n');
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  const before = fingerprint();
  // In a mount namespace of its own, so that this process alone sees the other distribution.
  const inner = 'mount --bind "$1" /etc/os-release && PATH="$2" exec node "$3"';
  const args = [
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    inner,
    'sh',
    join(dir, 'os-release'),
    bin,
    script,
  ];
  const { code, output } = await run('unshare', args, { ONCEBOX_DATA_DIR: dataDir });
  expect(code).toBe(1);
  expect(output).toContain('does not know Slackware 15');
  const missingTools = [
    'redis-server:',
    'a C compiler (cc):',
    'make:',
    'mmdebstrap:',
    'skopeo:',
    'zstd:',
    'buildah:',
  ];
  for (const missing of [...missingTools, 'base images:']) {
    expect(output).toContain(missing);
  }
  expect(output).not.toContain('npm packages:');
  expect(output).toContain('Nothing was changed');
  expect(statSync(dataDir, { throwIfNoEntry: false })).toBeUndefined();
  expect(fingerprint()).toEqual(before);
});

test('without root, set-up names what is missing and changes nothing; with nothing missing it goes on', async () => {
  const dataDir = join(useDirectory(), 'data');
  const asOrdinary = ['--reuid=12345', '--regid=12345', '--clear-groups', process.execPath, script];
  const { code, output } = await run('setpriv', asOrdinary, { ONCEBOX_DATA_DIR: dataDir });
  expect(code).toBe(1);
  expect(output).toContain('not running as root');
  expect(output).toContain('base images: npm run setup, as root');
  expect(output).not.toContain('redis-server');
  expect(statSync(dataDir, { throwIfNoEntry: false })).toBeUndefined();
  expect(await run('setpriv', asOrdinary)).toEqual({ code: 0, output: '' });
});

test('a step that fails says which, shows the last lines of the command, and what to do next', async () => {
  const dir = useDirectory();
  cpSync(join(repo, 'scripts'), join(dir, 'scripts'), { recursive: true });
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'x', version: '1.0.0' }));
  writeFileSync(join(dir, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3, packages: {} }));
  const { code, output } = await run(process.execPath, [join(dir, 'scripts/setup.mjs')], {
    ONCEBOX_DATA_DIR: dir,
  });
  expect(code).toBe(1);
  expect(output).toContain('set-up failed at: native build');
  expect(output).toContain('make -s -C');
  expect(output).toContain('No such file or directory');
  expect(output).toContain('run the same command again');
});
