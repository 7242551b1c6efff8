import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../../loadtest/cli.ts';
import { useServer } from './use-server.ts';

const serve = useServer();
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'loadtest-cli-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function run(...argv: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const io = {
    stdout: { write: (text: string) => void out.push(text) },
    stderr: { write: (text: string) => void err.push(text) },
    signal: new AbortController().signal,
  };
  return { exitCode: await runCli(argv, io), stdout: out.join(''), stderr: err.join('') };
}

test.each([
  [['warmer'], /value 'warmer' is invalid for argument 'scenario'. Allowed choices are warm, fork/],
  [[], /missing required argument 'scenario'/],
  [['warm', '--duration', '10'], /'--duration <time>' argument '10' is invalid. It is a number with a unit/],
  [['warm', '--duration', '2d'], /from 100ms to 24h/],
  [['warm', '--rate', '0'], /It is a number above 0/],
  [['warm', '--concurrency', '1.5'], /It is a whole number from 1 to 10000/],
  [['warm', '--runtime', 'node,ruby'], /It is one or more of node, python/],
  [['warm', '--url', 'localhost:8080'], /It is an address such as http/],
  [['warm', '--seed', 'x'], /It is a whole number from 0/],
  [['compare', 'one.json'], /missing required argument 'after.json'/],
  [['warm', '--faster'], /unknown option '--faster'/],
])('%j is refused with a sentence, and nothing is started', async (argv, message) => {
  const { exitCode, stdout, stderr } = await run(...argv);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toMatch(message);
  expect(stderr).toContain('loadtest: ');
});

test('help lists the scenarios', async () => {
  const { exitCode, stdout } = await run('--help');
  expect(exitCode).toBe(0);
  for (const name of ['warm', 'fork', 'cold', 'burst', 'ramp', 'mixed', 'density', 'soak', 'all', 'compare'])
    expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
});

test('what is no report cannot be compared, and it is said why', async () => {
  const other = join(directory, 'other.json');
  await writeFile(other, '{"schema":7}');
  const noReport = await run('compare', other, other);
  expect(noReport).toMatchObject({ exitCode: 1, stdout: '' });
  expect(noReport.stderr).toMatch(/cannot compare .*other.json: it is no report of this tool/);
  const missing = await run('compare', join(directory, 'missing.json'), other);
  expect(missing).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/there is no such file/) });
});

test('a platform that answers wrongly is not measured, and the exit code says so', async () => {
  let requests = 0;
  const url = await serve((request, response) => {
    requests += 1;
    request.resume().on('end', () => response.end('{"stdout":"3\\n"}'));
  });
  const out = join(directory, 'wrong');
  const { exitCode, stdout, stderr } = await run('burst', '--url', url, '--quick', '--out', out);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/burst was given up: cannot measure node: the reply is no finished invocation/);
  expect(stdout).toContain('burst was given up');
  expect(requests).toBe(1);
  expect((await readdir(out)).map((name) => name.split('.').at(-1)).sort()).toEqual(['html', 'json']);
});

test('scenarios that need the machine are left out where the platform is elsewhere', async () => {
  const url = await serve((_request, response) => void response.end());
  const { stdout } = await run('density', 'fork', '--url', url, '--out', join(directory, 'remote'));
  expect(stdout).toContain('density was left out: it needs a platform of its own, on this machine');
  expect(stdout).toContain('fork was left out');
});
