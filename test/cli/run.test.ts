import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Outcome } from '../../sdk/contract/outcome.ts';
import { useStandIn } from './stand-in.ts';
import { useCli } from './use-cli.ts';

const standIn = useStandIn();
const cli = useCli(standIn.url);
let directory: string;
let script: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oncebox-cli-run-'));
  script = join(directory, 'main.py');
  await writeFile(script, 'print(1)');
});
afterAll(() => rm(directory, { recursive: true }));

test.each<[Outcome, number, string]>([
  [{ status: 'ok' }, 0, ''],
  [{ status: 'exited', exitCode: 7 }, 7, ''],
  [
    { status: 'function_error', name: 'E', message: 'boo', stack: 'E: boo\n  at x' },
    1,
    'oncebox: E: boo\n  at x\n',
  ],
  [
    { status: 'timeout', limit: 'wall', ms: 500, usedMs: 500 },
    124,
    'oncebox: stopped after 500 ms of wall time\n',
  ],
  [
    { status: 'oom_killed', memoryMaxBytes: 16, memoryPeakBytes: 16 },
    137,
    'oncebox: out of memory: the cap is 16 bytes\n',
  ],
  [{ status: 'signaled', signal: 'SIGTERM' }, 143, 'oncebox: ended by SIGTERM\n'],
  [
    { status: 'limit_exceeded', limit: 'disk', max: 9, peak: 9 },
    125,
    'oncebox: stopped: the cap on disk, 9, was reached\n',
  ],
  [{ status: 'compile_failed' }, 1, 'oncebox: it does not compile\n'],
  [{ status: 'cancelled' }, 125, 'oncebox: cancelled\n'],
  [{ status: 'lost', reason: 'gone' }, 125, 'oncebox: the platform lost it: gone\n'],
])('an outcome of %j ends with %i', async (outcome, code, message) => {
  standIn.invocation = { outcome, stdout: 'out', stderr: 'err\n' };
  expect(await cli(['run', 'app'])).toEqual({ code, stdout: 'out', stderr: `err\n${message}` });
});

test('what follows the image is its own, whatever it looks like', async () => {
  await cli([
    'run',
    '-e',
    'A=1',
    '-w',
    '/srv',
    '-u',
    '7:8',
    '--entrypoint',
    'ls',
    'app',
    '-l',
    '--json',
    '-e',
  ]);
  expect(standIn.lastRun()).toMatchObject({
    image: 'app',
    args: ['-l', '--json', '-e'],
    env: { A: '1' },
    workdir: '/srv',
    user: '7:8',
    entrypoint: ['ls'],
    stdin: '',
    diff: false,
  });
  expect(standIn.lastRun().runtime).toBeUndefined();
});

test('a program is sent with its name, and run by what its extension says', async () => {
  await cli(['run', '--limit', 'wallMs=500', script, 'x'], { stdin: 'piped' });
  expect(standIn.lastRun()).toMatchObject({
    runtime: 'python',
    files: [{ path: 'main.py', content: Buffer.from('print(1)').toString('base64'), encoding: 'base64' }],
    entry: 'main.py',
    args: ['x'],
    stdin: 'piped',
    limits: { wallMs: 500 },
  });
  expect(standIn.lastRun().image).toBeUndefined();
});

test("with a runtime and an image, a program is run by the image's own interpreter", async () => {
  await cli(['run', '--runtime', 'python', 'app', script, 'x']);
  expect(standIn.lastRun()).toMatchObject({ runtime: 'python', image: 'app', entry: 'main.py', args: ['x'] });
});

test('a wrong command line, an unknown image and a platform that is not there end with 125', async () => {
  const results = [
    await cli(['run']),
    await cli(['run', '--limit', 'memory=1', 'app']),
    await cli(['run', '--runtime', 'ruby', 'app']),
    await cli(['run', '--user', 'x', script]),
    await cli(['run', '--runtime', 'python', 'app']),
    await cli(['run', 'missing']),
    await cli(['run', 'app', '--url'], { env: { ONCEBOX_URL: 'http://127.0.0.1:1' } }),
  ];
  expect(results.map(({ code }) => code)).toEqual(results.map(() => 125));
  expect(results[5]?.stderr).toMatch(/there is no image "missing"\n"oncebox images" lists/);
});

test('--json gives the whole record, with the same exit code', async () => {
  standIn.invocation = { outcome: { status: 'exited', exitCode: 3 }, stdout: 'out' };
  const { code, stdout } = await cli(['run', '--json', 'app']);
  expect(code).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ id: 'inv_1', stdout: 'out' });
});

test('--diff says what was changed; diff says it again, and fetches the files', async () => {
  const file = { type: 'file', sizeBytes: 1500, sha256: 'x' } as const;
  standIn.invocation = {
    changes: [
      { kind: 'added', path: '/work/out', type: 'directory', sizeBytes: 0 },
      { kind: 'added', path: '/work/out/a', ...file },
      { kind: 'deleted', path: '/etc/motd', type: 'file', sizeBytes: 0 },
    ],
    files: { sizeBytes: 4096 },
  };
  const lines = 'A /work/out/\nA /work/out/a  1.5 kB\nD /etc/motd\n';
  const { stderr } = await cli(['run', '--keep-files', 'app']);
  expect(standIn.lastRun()).toMatchObject({ image: 'app', diff: 'archive' });
  expect(stderr).toBe(`${lines}"oncebox diff inv_1 --output files.tar" fetches the files\n`);
  expect((await cli(['diff', 'inv_1'])).stdout).toBe(lines);
  const path = join(directory, 'files.tar');
  expect(await cli(['diff', 'inv_1', '-o', path])).toMatchObject({ code: 0, stdout: '' });
  expect(await readFile(path, 'utf8')).toBe('these are the bytes of a tar');
  expect((await cli(['diff', 'inv_1', '-o', '-'])).stdout).toBe('these are the bytes of a tar');
});

test('--diff alone keeps no files', async () => {
  await cli(['run', '--diff', 'app', 'x']);
  expect(standIn.lastRun()).toMatchObject({ image: 'app', diff: true, args: ['x'] });
});

test('diff of an invocation that was run without it says what to do', async () => {
  const { code, stderr } = await cli(['diff', 'inv_1']);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: 'oncebox: cannot tell what inv_1 changed: run it with "oncebox run --diff"\n',
  });
});

test('a wall is asked for by name, and one that there is not is refused here', async () => {
  standIn.invocation = { outcome: { status: 'ok' } };
  expect((await cli(['run', '--isolation', 'gvisor', 'app'])).code).toBe(0);
  expect(standIn.lastRun()).toMatchObject({ image: 'app', isolation: 'gvisor' });
  const refused = await cli(['run', '--isolation', 'paper', 'app']);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('native, runc, gvisor');
});
