import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';
import { useCli, useRunningCli } from './use-cli.ts';
import { useDirectory } from './use-directory.ts';

const running = usePlatform();
const cli = useCli(() => running.platform.url);
const start = useRunningCli(() => running.platform.url);
const oncebox = resolve(import.meta.dirname, '../../bin/oncebox');

beforeAll(async () => {
  await running.client.deploy('talker', {
    runtime: 'node',
    handler: 'index.handler',
    limits: { wallMs: 60_000 },
    files: [
      {
        path: 'index.mjs',
        content: `export const handler = async ({ waits, fails } = {}) => {
          console.log('first'); console.error('second');
          if (waits) await new Promise((done) => setTimeout(done, 50_000));
          if (fails) throw new Error('boo');
          return 'result';
        };`,
      },
    ],
  });
});

async function script(name: string, content: string): Promise<string> {
  const directory = await useDirectory({});
  await writeFile(join(directory, name), content);
  return join(directory, name);
}

/** Resolves when nothing of a run or a call is left on the platform. */
async function nothingRuns(): Promise<void> {
  const isRunning = async () =>
    (await running.client.sandboxes()).sandboxes.some(({ state }) => state !== 'created');
  await expect.poll(isRunning, { timeout: 120_000 }).toBe(false);
}

describe('run', () => {
  test('what a program writes is there while it runs, and its end by SIGINT is what an interrupt makes', async () => {
    const file = await script('main.sh', 'echo out; echo err >&2; exec sleep 50');
    const run = start(['run', '--limit', 'wallMs=60000', file]);
    await run.stdout.until(/^out\n$/);
    await run.stderr.until(/^err\n$/);
    run.interrupt();
    expect(await run.ended).toEqual({
      code: 130,
      stdout: 'out\n',
      stderr: 'err\noncebox: ended by SIGINT\n',
    });
    await nothingRuns();
  });

  test.each([
    [
      'main.py',
      `import sys, time
try:
    print('ready', flush=True)
    time.sleep(50)
except KeyboardInterrupt:
    print('interrupted')
    sys.exit(9)`,
    ],
    [
      'main.js',
      `process.on('SIGINT', () => { console.log('interrupted'); process.exit(9); });
      setInterval(() => {}, 1000);
      console.log('ready');`,
    ],
  ])("an interrupt is the program's to handle, and so is its exit code: %s", async (name, code) => {
    const file = await script(name, code);
    const run = start(['run', '--limit', 'wallMs=60000', file]);
    await run.stdout.until(/^ready\n$/);
    run.interrupt();
    expect(await run.ended).toEqual({ code: 9, stdout: 'ready\ninterrupted\n', stderr: '' });
  });

  test('a second interrupt cancels what the first did not end, with 130', async () => {
    const file = await script('main.sh', "trap 'echo no' INT; echo ready; while :; do sleep 0.1; done");
    const run = start(['run', '--limit', 'wallMs=60000', file]);
    await run.stdout.until(/^ready\n$/);
    run.interrupt();
    await run.stdout.until(/no\n$/);
    run.interrupt();
    expect(await run.ended).toMatchObject({ code: 130, stderr: '' });
    await nothingRuns();
  });

  test('what is piped arrives as it comes, and its end at last', async () => {
    const file = await script('main.sh', 'while read -r line; do echo "read $line"; done; echo end; exit 3');
    const stdin = new PassThrough();
    const run = start(['run', '--limit', 'wallMs=60000', file], { stdin });
    stdin.write('a\n');
    await run.stdout.until(/^read a\n$/);
    stdin.write('b\n');
    await run.stdout.until(/read b\n$/);
    stdin.end();
    expect(await run.ended).toEqual({ code: 3, stdout: 'read a\nread b\nend\n', stderr: '' });
  });

  test('all bytes pass through as they are, also more than a program takes at once', async () => {
    const file = await script('main.sh', 'cat; printf "\\303" >&2');
    const block = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    const bytes = Buffer.concat([
      Buffer.from('\ufeffé'),
      ...Array<Buffer>(3000).fill(block),
      Buffer.from([0xe2]),
    ]);
    const run = start(['run', '--limit', 'wallMs=60000', file], { stdin: bytes });
    expect((await run.ended).code).toBe(0);
    expect(Buffer.concat(run.stdout.chunks).equals(bytes)).toBe(true);
    expect(Buffer.concat(run.stderr.chunks)).toEqual(Buffer.from([0xc3]));
  });

  test('a program that ends while more is piped to it ends all', async () => {
    const file = await script('main.sh', 'read -r line; echo "$line"; exit 4');
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.from(`${'y'.repeat(1023)}\n`);
      })(),
    );
    const run = start(['run', '--limit', 'wallMs=60000', file], { stdin: endless });
    expect((await run.ended).code).toBe(4);
    await nothingRuns();
  });

  test.each(['a pipe', 'a terminal'])('a program that ends while %s stays open ends all', async (input) => {
    const file = await script('main.sh', 'exit 4');
    const line = [oncebox, 'run', file].join(' ');
    const child =
      input === 'a pipe'
        ? spawnCli(['run', file], { input: 'open' })
        : spawnCli(['-q', '-e', '-c', line, '/dev/null'], { file: 'script', input: 'open' });
    expect(await child.ended).toBe(4);
  });

  test('with another wall input is text, and what is none is refused', async () => {
    const file = await script('main.sh', 'cat');
    expect(await cli(['run', '--isolation', 'gvisor', file], { stdin: Buffer.from([0xff]) })).toEqual({
      code: 125,
      stdout: '',
      stderr: 'oncebox: cannot send standard input: it is not UTF-8\n',
    });
  });

  test('exit code, input and characters of several bytes pass through whole', async () => {
    const file = await script(
      'main.py',
      'import sys\nsys.stdout.write(sys.stdin.read() * 20000)\nsys.exit(7)',
    );
    const { code, stdout, stderr } = await cli(['run', '--limit', 'wallMs=60000', file], {
      stdin: 'añ→😀',
    });
    expect({ code, stderr }).toEqual({ code: 7, stderr: '' });
    expect(stdout === 'añ→😀'.repeat(20_000)).toBe(true);
  });

  test('a program whose name does not say its language is given one', async () => {
    const file = await script('greet', 'import sys\nprint("hello", *sys.argv[1:])');
    expect(await cli(['run', '--language', 'py', file, 'you'])).toEqual({
      code: 0,
      stdout: 'hello you\n',
      stderr: '',
    });
    const typed = await script('typed', 'const who: string = "you";\nconsole.log(`hello ${who}`);');
    expect((await cli(['run', '--language', 'ts', typed])).stdout).toBe('hello you\n');
    expect(await cli(['run', '--language', 'klingon', file])).toEqual({
      code: 125,
      stdout: '',
      stderr: 'oncebox: cannot run with "klingon": "oncebox languages" lists those that there are\n',
    });
    expect(await cli(['run', '--language', 'py', `${file}.gone`])).toMatchObject({ code: 125 });
  });

  test('what the platform stops is said, behind what the program wrote', async () => {
    const file = await script('main.sh', 'echo 123456789');
    expect(await cli(['run', '--limit', 'stdoutBytes=4', file])).toEqual({
      code: 125,
      stdout: '1234',
      stderr: 'oncebox: stopped: the cap on output, 4, was reached\n',
    });
  });

  test('an interrupt ends it while it waits for input, too', async () => {
    const file = await script('main.sh', 'echo ready; exec cat');
    const endless = new Readable({ read() {} });
    const run = start(['run', '--limit', 'wallMs=60000', file], { stdin: endless });
    await run.stdout.until(/ready\n/);
    run.interrupt();
    expect((await run.ended).code).toBe(130);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('the process ends by %s with %i, and its program with it', async (signal, code) => {
    const file = await script('main.sh', 'echo ready; exec sleep 50');
    const child = spawnCli(['run', '--limit', 'wallMs=60000', file]);
    await child.shown(/ready\n/);
    child.process.kill(signal);
    expect(await child.ended).toBe(code);
    await nothingRuns();
  });

  test('a reader who leaves ends it quietly, and its program with it', async () => {
    const file = await script('main.sh', 'while echo line; do sleep 0.05; done');
    const child = spawnCli(['run', '--limit', 'wallMs=60000', file]);
    await child.shown(/line\n/);
    child.process.stdout.destroy();
    expect(await child.ended).toBe(0);
    expect(child.errors()).toBe('');
    await nothingRuns();
  });

  test("a terminal's input is the program's, as it is typed", async () => {
    const file = await script('main.sh', 'read -r line; echo "first $line"; cat; echo end');
    const onTerminal = (...args: string[]) => {
      const line = [oncebox, 'run', '--limit', 'wallMs=60000', ...args, file].join(' ');
      return spawnCli(['-q', '-e', '-c', line, '/dev/null'], { file: 'script', input: 'open' });
    };
    const without = onTerminal('--no-stdin');
    await without.shown(/^first \r\nend\r\n$/);
    expect(await without.ended).toBe(0);
    const terminal = onTerminal();
    terminal.process.stdin.write('typed\n');
    await terminal.shown(/first typed\r\n$/);
    terminal.process.stdin.write('more\n\x04');
    await terminal.shown(/more\r\nend\r\n$/);
    expect(await terminal.ended).toBe(0);
  });
});

describe('invoke', () => {
  test('--logs writes what is printed while the call runs', async () => {
    const call = start(['invoke', 'talker', '--logs', '-d', '{"waits":true}']);
    await call.stderr.until(/first\n/);
    await call.stderr.until(/second\n/);
    call.interrupt();
    expect(await call.ended).toMatchObject({ code: 130, stdout: '' });
    await nothingRuns();
  });

  test('--logs keeps the result, and the failure, apart', async () => {
    const ended = await cli(['invoke', 'talker', '--logs', '-d', '{}']);
    expect(ended).toMatchObject({ code: 0, stdout: 'result\n' });
    expect(ended.stderr.split('\n').sort()).toEqual(['', 'first', 'second']);
    const failed = await cli(['invoke', 'talker', '--logs', '-d', '{"fails":true}']);
    expect(failed).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/Error: boo\n {4}at handler/),
    });
  });

  test('--stream prints an ordinary result as it is, and with --json each event as a line', async () => {
    expect(await cli(['invoke', 'talker', '--stream', '-d', '{}'])).toEqual({
      code: 0,
      stdout: 'result\n',
      stderr: '',
    });
    const { stdout } = await cli(['invoke', 'talker', '--stream', '--json', '-d', '{}']);
    const types = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type);
    expect([types.at(0), types.at(-1)]).toEqual(['started', 'end']);
  });
});

describe('logs', () => {
  test('of an invocation that has ended: all of it, its last lines, one of the two, as JSON', async () => {
    const [id = ''] = (await cli(['invoke', '--async', 'talker', '-d', '{}'])).stdout.split('\n');
    await finished(id);
    expect((await cli(['logs', id])).stdout.split('\n').sort()).toEqual(['', 'first', 'second']);
    expect(await cli(['logs', id, '--stream', 'stderr'])).toEqual({
      code: 0,
      stdout: 'second\n',
      stderr: '',
    });
    expect((await cli(['logs', id, '--tail', '1'])).stdout.split('\n')).toHaveLength(2);
    expect(JSON.parse((await cli(['logs', '--json', id])).stdout)).toMatchObject({ id, stdout: 'first\n' });
  });

  test('followed, they come while it runs, and the end of following cancels nothing', async () => {
    const [id = ''] = (await cli(['invoke', '--async', 'talker', '-d', '{"waits":true}'])).stdout.split('\n');
    const logs = start(['logs', '-f', id]);
    await logs.stdout.until(/first\n/);
    logs.interrupt();
    expect(await logs.ended).toMatchObject({ code: 130 });
    expect((await running.client.invocation(id)).status).toBe('running');
    const followed = start(['logs', '--follow', '--json', id]);
    await followed.stdout.until(/"type":"stderr"/);
    expect((await cli(['cancel', id])).code).toBe(0);
    const lines = (await followed.ended).stdout.trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      type: 'end',
      invocation: { outcome: { status: 'cancelled' } },
    });
  });

  test('of nothing there is, is refused', async () => {
    expect(await cli(['logs', 'inv_missing'])).toMatchObject({ code: 1, stdout: '' });
  });
});

async function finished(id: string) {
  const done = async () => {
    const invocation = await running.client.invocation(id);
    return invocation.outcome ? invocation : undefined;
  };
  await expect.poll(done, { timeout: 120_000 }).toBeDefined();
  return running.client.invocation(id);
}

/** The command as a process of its own. */
function spawnCli(args: string[], { file = oncebox, input = 'none' } = {}) {
  const env = { PATH: process.env.PATH, ONCEBOX_URL: running.platform.url };
  const child = spawn(file, args, { env });
  if (input === 'none') child.stdin.end();
  const ended = new Promise<number | null>((done) => child.once('close', done));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
    child.emit('shown');
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  return {
    process: child,
    ended,
    errors: () => errors,
    async shown(pattern: RegExp): Promise<void> {
      while (!pattern.test(output)) await new Promise<void>((done) => child.once('shown', done));
    },
  };
}
