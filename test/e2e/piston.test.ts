import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { codeBlocksOf, isPrinted } from '../docs/code-blocks.ts';
import { pathInTree } from '../docs/markdown.ts';
import { heard } from '../support/heard.ts';
import { connectPiston } from '../support/piston-websocket.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform(() => ({ ONCEBOX_DEFAULT_LIMITS: 'stdoutBytes=4096,stderrBytes=4096' }));
const patience = { timeout: 60_000, interval: 25 };

const program = (language: string, content: string, more: object = {}) => ({
  language,
  version: '*',
  files: [{ content }],
  run_timeout: 600_000,
  ...more,
});
const portOf = () => Number(new URL(running.platform.url).port);
const sandboxes = async () =>
  (await running.client.sandboxes()).sandboxes.filter(({ invocationId }) => invocationId);

async function execute(body: object, signal?: AbortSignal) {
  const response = await fetch(new URL('/api/v2/execute', running.platform.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as { run: Record<string, unknown>; language: string; version: string };
}

test('each language that is there says what it is given', async () => {
  const sources = {
    bash: 'read -r line; echo "$line $1"; cat data/x; echo done >&2',
    javascript: `const fs = require('fs'); const line = fs.readFileSync(0, 'utf8').trim();
      console.log(line, process.argv[2]); process.stdout.write(fs.readFileSync('data/x')); console.error('done')`,
    python: `import sys; print(input(), sys.argv[1]); print(open('data/x').read(), end=''); sys.stdout.flush()
print('done', file=sys.stderr)`,
  };
  for (const [language, content] of Object.entries(sources)) {
    const files = [{ content }, { name: 'data/x', content: '686921', encoding: 'hex' }];
    const reply = await execute(program(language, '', { files, stdin: 'hello', args: ['wörld'] }));
    expect(reply, language).toMatchObject({
      language,
      run: {
        stdout: 'hello wörld\nhi!',
        stderr: 'done\n',
        code: 0,
        signal: null,
        message: null,
        status: null,
      },
    });
    expect(reply.version).toMatch(/^\d+\.\d+/);
    const { cpu_time, wall_time, memory } = reply.run as Record<string, number>;
    expect(cpu_time, language).toBeGreaterThanOrEqual(0);
    expect(wall_time, language).toBeGreaterThan(0);
    expect(memory, language).toBeGreaterThan(100_000);
  }
});

test('a program that is ended keeps what it had printed, in the order of both streams', async () => {
  const content = `${heard}
for fd, text in (1, b'a\\n'), (2, b'b\\n'), (1, b'c\\n'):
    os.write(fd, text)
    heard(fd)
while True: pass`;
  const { run } = await execute(program('python', content, { run_cpu_time: 1000 }));
  expect(run).toMatchObject({ stdout: 'a\nc\n', stderr: 'b\n', output: 'a\nb\nc\n' });
  expect(run).toMatchObject({ code: null, signal: 'SIGKILL', status: 'TO' });
});

test('how a program ends is told as Piston does', async () => {
  for (const [language, content, expected] of [
    ['bash', 'exit 7', { code: 7, signal: null, status: 'RE' }],
    ['bash', 'kill -SEGV $$', { code: null, signal: 'SIGSEGV', status: 'SG' }],
    [
      'bash',
      'printf %5000s x',
      { code: null, signal: 'SIGKILL', status: 'OL', message: 'stdout length exceeded' },
    ],
    ['bash', 'printf %5000s x >&2', { code: null, signal: 'SIGKILL', status: 'EL' }],
    [
      'python',
      'x = bytearray(10**9)\nx[::4096] = b"1" * len(x[::4096])',
      { signal: 'SIGKILL', status: 'SG' },
    ],
  ] as const) {
    const { run } = await execute(program(language, content));
    expect(run, content).toMatchObject(expected);
    if (run.status === 'OL') expect(run.stdout).toBe(' '.repeat(4096));
  }
});

test.each([
  ['python', 'print(1); 1 / 0', 'ZeroDivisionError: division by zero'],
  ['javascript', 'console.log(1); throw new Error("oops")', 'Error: oops'],
  ['typescript', 'console.log(1); throw new Error("oops" as string)', 'Error: oops'],
])(
  'an exception of %s that nobody caught is an exit code, and told by stderr',
  async (language, content, thrown) => {
    const { run } = await execute(program(language, content));
    const ended = { code: 1, signal: null, message: 'Exited with error status 1', status: 'RE' };
    expect(run).toMatchObject({ ...ended, stdout: '1\n', stderr: expect.stringContaining(thrown) });
  },
);

test('a client of HTTP that goes takes its job along', async () => {
  const left = new AbortController();
  const gone = execute(program('bash', 'sleep 500'), left.signal);
  gone.catch(() => {});
  await vi.waitFor(async () => expect(await sandboxes()).toHaveLength(1), patience);
  left.abort();
  await expect(gone).rejects.toThrow();
  await vi.waitFor(async () => expect(await sandboxes()).toEqual([]), patience);
});

test('a program is talked to over the websocket: stdin, signals, and what it says', async () => {
  const { say, end, printed } = await connectPiston(portOf());
  const content = `
    trap 'echo interrupted; exit 5' INT
    while read -r line; do echo "<$line>"; done`;
  say({ type: 'init', ...program('bash', content) });
  say({ type: 'data', stream: 'stdin', data: 'é\n' });
  await vi.waitFor(() => expect(printed()).toBe('<é>\n'), patience);
  say({ type: 'data', stream: 'stdin', data: 'tw' });
  say({ type: 'data', stream: 'stdin', data: 'o\n' });
  await vi.waitFor(() => expect(printed()).toBe('<é>\n<two>\n'), patience);
  say({ type: 'signal', signal: 'SIGINT' });
  const { messages, code, reason } = await end();
  expect([code, reason]).toEqual([4999, 'Job Completed']);
  expect(messages.filter(({ type }) => type !== 'data')).toEqual([
    { type: 'runtime', language: 'bash', version: expect.stringMatching(/^5\./) },
    { type: 'stage', stage: 'run' },
    { type: 'exit', stage: 'run', code: 5, signal: null },
  ]);
  expect(printed()).toBe('<é>\n<two>\ninterrupted\n');
});

test('a signal that nobody catches is how the program ends', async () => {
  const { say, end, printed } = await connectPiston(portOf());
  say({ type: 'init', ...program('python', 'import time\nprint(1, flush=True)\ntime.sleep(500)') });
  await vi.waitFor(() => expect(printed()).toBe('1\n'), patience);
  say({ type: 'signal', signal: 'SIGTERM' });
  expect((await end()).messages.at(-1)).toEqual({
    type: 'exit',
    stage: 'run',
    code: null,
    signal: 'SIGTERM',
  });
});

test('the websocket has a cap of output as well, and no character is split', async () => {
  const capped = await connectPiston(portOf());
  capped.say({ type: 'init', ...program('bash', "printf '€%.0s' {1..2000}; sleep 500") });
  expect((await capped.end()).messages.at(-1)).toMatchObject({ code: null, signal: 'SIGKILL' });
  // 4096 bytes hold 1365 whole ones.
  expect(capped.printed()).toBe('€'.repeat(1365));
  const halves = await connectPiston(portOf());
  const content = "printf '\\xe2\\x82'; sleep 0.3; printf '\\xac'";
  halves.say({ type: 'init', ...program('bash', content) });
  expect((await halves.end()).messages.at(-1)).toMatchObject({ type: 'exit', code: 0 });
  expect(halves.messages.filter(({ type }) => type === 'data')).toEqual([
    { type: 'data', stream: 'stdout', data: '€' },
  ]);
});

test('a client of the websocket that goes takes its job along', async () => {
  const { say, printed, websocket } = await connectPiston(portOf());
  say({ type: 'init', ...program('bash', 'echo 1; sleep 500') });
  await vi.waitFor(() => expect(printed()).toBe('1\n'), patience);
  // A node that is slow to answer is left out of the list.
  await vi.waitFor(async () => expect(await sandboxes()).toHaveLength(1), patience);
  websocket.terminate();
  await vi.waitFor(async () => expect(await sandboxes()).toEqual([]), patience);
});

test.each(codeBlocksOf('docs/piston.md').map((block) => [block.line, block] as const))(
  'the page of the API shows what is printed: line %i',
  async (_, { language, text, output }) => {
    const own = text.replaceAll('localhost:8080', new URL(running.platform.url).host);
    const [command, ...args] = language === 'sh' ? ['bash', '-c'] : ['node', '--input-type=module', '-e'];
    const { stdout } = await promisify(execFile)(command as string, [...args, own], { cwd: pathInTree('.') });
    if (!isPrinted(output ?? '', stdout)) expect(stdout).toBe(output);
  },
);
