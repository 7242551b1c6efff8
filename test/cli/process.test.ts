import { spawn } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { anImage, digest, useStandIn } from './stand-in.ts';

const standIn = useStandIn();
const oncebox = resolve(import.meta.dirname, '../../bin/oncebox');

async function run(command: string, args: string[], { stdin = '', cwd = '/' } = {}) {
  const env = { PATH: process.env.PATH, TERM: 'xterm', ONCEBOX_URL: standIn.url() };
  const child = spawn(command, args, { cwd, env });
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((done) => child.once('close', done));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

test('the command works from any directory, through a link as npm makes it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-bin-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await symlink(oncebox, join(directory, 'oncebox'));
  expect(await run('./oncebox', ['images', '-q'], { cwd: directory })).toEqual({
    code: 0,
    stdout: `${digest('a')}\n`,
    stderr: '',
  });
});

test("it ends with the program's exit code, and what is piped to it is the program's input", async () => {
  standIn.invocation = { outcome: { status: 'exited', exitCode: 42 }, stdout: 'out\n', stderr: 'err\n' };
  const result = await run(oncebox, ['run', 'app'], { stdin: 'piped' });
  expect(result).toEqual({ code: 42, stdout: 'out\n', stderr: 'err\n' });
  expect(standIn.lastRun().stdin).toBe('piped');
});

test('output that is longer than a pipe arrives whole, and a reader who leaves is no error', async () => {
  standIn.invocation = { stdout: 'line\n'.repeat(100_000) };
  expect((await run(oncebox, ['run', 'app'])).stdout).toHaveLength(500_000);
  const piped = await run('bash', [
    '--norc',
    '-c',
    `set -o pipefail; "${oncebox}" run app </dev/null | head -n 1`,
  ]);
  expect(piped).toEqual({ code: 0, stdout: 'line\n', stderr: '' });
});

test('on a real terminal a pull draws a bar, and leaves its cursor shown', async () => {
  standIn.events = [
    { type: 'step', step: 'download', subject: digest('c') },
    { type: 'progress', doneBytes: 4e6, totalBytes: 4e6 },
    { type: 'done', image: anImage },
  ];
  const { code, stdout } = await onPty(['stty', 'columns', '100'], [oncebox, 'pull', 'x']);
  expect(code).toBe(0);
  expect(stripVTControlCharacters(stdout)).toMatch(/✔ download c{12} .*4 MB \/ 4 MB/);
  expect(stdout.lastIndexOf('\x1b[?25h')).toBeGreaterThan(stdout.lastIndexOf('\x1b[?25l'));
});

test('on a terminal that does not know its width a pull writes lines', async () => {
  standIn.events = [{ type: 'step', step: 'download', subject: digest('c') }, ...standIn.events];
  const { code, stdout } = await onPty(['stty', 'columns', '0'], [oncebox, 'pull', 'x']);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `download ${'c'.repeat(12)}\r\nlocalhost/app:latest ${digest('a')}\r\n`,
  });
});

/** Runs commands one after another on a terminal, whose output is ours. */
function onPty(...commands: string[][]) {
  const line = commands.map((words) => words.join(' ')).join(' && ');
  return run('script', ['--quiet', '--return', '--command', line, '/dev/null']);
}
