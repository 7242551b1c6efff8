import type { Job } from 'bullmq';
import { describe, expect, test } from 'vitest';
import type { OutputEvent } from '../../../sdk/contract/events.ts';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { Outcome } from '../../../sdk/contract/outcome.ts';
import { findLanguage } from '../../../services/languages/find-language.ts';
import { languageImage } from '../../../services/languages/language.ts';
import { appendEvents } from '../../../services/queue/event-stream.ts';
import type { InvocationJob } from '../../../services/queue/job.ts';
import { finished, useGateway } from '../../support/gateway.ts';
import { announce, describedImage } from '../../support/images.ts';
import { useRedis } from '../../support/redis.ts';

const testRedis = useRedis();
const gateway = useGateway(testRedis, { ONCEBOX_MAX_LIMITS: 'wallMs=5000,memoryBytes=268435456' });
const execute = '/api/v2/execute';
const hello = { language: 'js', version: '*', files: [{ content: 'console.log(1)' }] };

/** What the worker was given; it answers with `fields`. */
async function runs(fields: Partial<Invocation> = {}): Promise<InvocationJob[]> {
  const jobs: InvocationJob[] = [];
  await gateway.startWorker(async (job) => {
    jobs.push(job.data);
    return finished(job, fields);
  });
  return jobs;
}

function tell(job: Job<InvocationJob>, events: OutputEvent[]): Promise<void> {
  const { tenant } = job.data;
  return appendEvents(testRedis.redis, { id: job.id ?? '', tenant, events, keepMs: 60_000 });
}

async function answer(response: Response) {
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

describe('what is refused, in the words of Piston', () => {
  test.each<[string, unknown, string]>([
    ['no language', { ...hello, language: undefined }, 'language is required as a string'],
    ['an empty language', { ...hello, language: '' }, 'language is required as a string'],
    ['a language that is no text', { ...hello, language: 1 }, 'language is required as a string'],
    ['nothing', '', 'language is required as a string'],
    ['a list', [], 'language is required as a string'],
    ['no version', { ...hello, version: undefined }, 'version is required as a string'],
    ['no files', { ...hello, files: undefined }, 'files is required as an array'],
    ['files that are none', { ...hello, files: {} }, 'files is required as an array'],
    ['a file without content', { ...hello, files: [{}] }, 'files[0].content is required as a string'],
    [
      'a file that is null',
      { ...hello, files: [{ content: '' }, null] },
      'files[1].content is required as a string',
    ],
    ['an unknown language', { ...hello, language: 'klingon' }, 'klingon-* runtime is unknown'],
    ['a language that is not installed', { ...hello, language: 'go' }, 'go-* runtime is unknown'],
    ['another version', { ...hello, version: '1.2.3' }, 'js-1.2.3 runtime is unknown'],
    ['no files at all', { ...hello, files: [] }, 'files must include at least one utf8 encoded file'],
    [
      'no text among the files',
      { ...hello, files: [{ content: 'aGk=', encoding: 'base64' }] },
      'files must include at least one utf8 encoded file',
    ],
    [
      'a timeout that is no number',
      { ...hello, run_timeout: '1' },
      'If specified, run_timeout must be a number',
    ],
    [
      'a timeout above the maximum',
      { ...hello, run_timeout: 5001 },
      'run_timeout cannot exceed the configured limit of 5000',
    ],
    ['a timeout below 0', { ...hello, compile_timeout: -1 }, 'compile_timeout must be non-negative'],
    [
      'too much memory',
      { ...hello, run_memory_limit: 268435457 },
      'run_memory_limit cannot exceed the configured limit of 268435456',
    ],
    [
      'less than no memory',
      { ...hello, compile_memory_limit: -2 },
      'compile_memory_limit must be non-negative',
    ],
    [
      'CPU time that is no number',
      { ...hello, compile_cpu_time: {} },
      'If specified, compile_cpu_time must be a number',
    ],
    ['arguments that are no texts', { ...hello, args: [1] }, 'args must be an array of strings'],
    ['stdin that is no text', { ...hello, stdin: 1 }, 'stdin must be a string'],
    [
      'a file name that leads out',
      { ...hello, files: [{ name: 'a/../../b', content: '' }] },
      'file name "a/../../b" leads out of the working directory',
    ],
  ])('%s', async (_, body, message) => {
    expect(await answer(await gateway.postJson(execute, body))).toEqual({ status: 400, body: { message } });
  });

  test('a file that would be a directory too is refused, though not in its words', async () => {
    const files = [{ content: '' }, { name: 'a', content: '' }, { name: 'a/b', content: '' }];
    const refused = await answer(await gateway.postJson(execute, { ...hello, files }));
    expect(refused).toEqual({ status: 400, body: { message: expect.stringContaining('"a"') } });
  });

  test('a body that is not said to be JSON is a 415, and one that is none says where', async () => {
    const type = { headers: { 'content-type': 'text/plain' } };
    const message = 'requests must be of type application/json';
    for (const path of [execute, '/api/v2/piston/execute', '/api/v2/packages', '/api/v2/none'])
      expect(await answer(await gateway.postJson(path, hello, type)), path).toEqual({
        status: 415,
        body: { message },
      });
    const broken = await answer(await gateway.postJson(execute, '{"language":'));
    expect(broken).toEqual({
      status: 400,
      body: { stack: expect.stringMatching(/^SyntaxError: .*JSON/), message: expect.any(String) },
    });
  });

  test('a path or a method that Piston has not is its 404', async () => {
    for (const [method, path] of [
      ['GET', '/api/v2'],
      ['GET', '/api/v2/none'],
      ['GET', '/api/v2/piston/none'],
      ['GET', execute],
      ['GET', '/api/v2/connect'],
    ] as const)
      expect(await answer(await gateway.app.request(path, { method })), path).toEqual({
        status: 404,
        body: { message: 'Not Found' },
      });
    expect((await gateway.postJson('/api/v2/runtimes', {})).status).toBe(404);
  });

  test('a body that is too large is a 413', async () => {
    const files = [{ content: 'x'.repeat(70_000) }];
    expect(await answer(await gateway.postJson(execute, { ...hello, files }))).toEqual({
      status: 413,
      body: { message: 'the body is larger than 65536 bytes' },
    });
  });
});

describe('what is run', () => {
  test('the documented example, under both prefixes', async () => {
    const jobs = await runs({ stdout: 'hi\n' });
    const example = {
      language: 'js',
      version: '24.x',
      files: [{ name: 'my_cool_code.js', content: 'console.log(process.argv)' }],
      stdin: '',
      args: ['1', '2', '3'],
      compile_timeout: 5000,
      run_timeout: 3000,
      compile_memory_limit: -1,
      run_memory_limit: -1,
    };
    for (const path of [execute, '/api/v2/piston/execute'])
      expect(await answer(await gateway.postJson(path, example)), path).toEqual({
        status: 200,
        body: {
          run: {
            ...{
              stdout: 'hi\n',
              stderr: '',
              output: 'hi\n',
              code: 0,
              signal: null,
              message: null,
              status: null,
            },
            ...{ cpu_time: 1, wall_time: 2, memory: 1024 },
          },
          language: 'javascript',
          version: expect.stringMatching(/^24\.\d+\.\d+$/),
        },
      });
    expect(jobs).toHaveLength(2);
    expect(jobs[0]).toMatchObject({
      runtime: 'node',
      program: {
        kind: 'snippet',
        entry: 'my_cool_code.js',
        files: [{ path: 'my_cool_code.js', content: 'console.log(process.argv)', encoding: 'utf8' }],
        args: ['1', '2', '3'],
      },
      stdin: '\n',
      limits: { wallMs: 3000, cpuMs: 3000, memoryBytes: 128 * 1024 * 1024 },
    });
  });

  test('files have names, one is made up for those without, and the last of a name is kept', async () => {
    const jobs = await runs();
    const files = [
      { name: 'data.bin', content: 'aGk', encoding: 'base64' },
      { content: 'print(1)' },
      { content: '6869', encoding: 'hex' },
      { name: './lib//a.py', content: 'old', encoding: 'utf8' },
      { name: '/lib/b.py', content: 'b', encoding: 'nonsense' },
      { name: 'lib/x/../a.py', content: 'new' },
    ];
    await gateway.postJson(execute, { language: 'py', version: '3', files, stdin: 'a\n' });
    expect(jobs[0]).toMatchObject({ runtime: 'python', stdin: 'a\n' });
    expect(jobs[0]?.program).toMatchObject({
      entry: 'main.py',
      files: [
        { path: 'data.bin', content: 'aGk=', encoding: 'base64' },
        { path: 'main.py', content: 'print(1)', encoding: 'utf8' },
        { path: 'file2.code', content: 'aGk=', encoding: 'base64' },
        { path: 'lib/a.py', content: 'new', encoding: 'utf8' },
        { path: 'lib/b.py', content: 'b', encoding: 'utf8' },
      ],
    });
  });

  test('limits are those that are given, as far as they are any', async () => {
    const jobs = await runs();
    const given = { run_timeout: 1500.5, run_cpu_time: 0, run_memory_limit: 1, stdin: null, args: null };
    await gateway.postJson(execute, { ...hello, ...given });
    expect(jobs[0]?.limits).toMatchObject({ wallMs: 1500, cpuMs: 3000, memoryBytes: 16 * 1024 * 1024 });
  });
});

describe('how a program ended', () => {
  const killed = { code: null, signal: 'SIGKILL' };
  test.each<[string, Outcome, Partial<Invocation>, object]>([
    ['well', { status: 'ok' }, {}, { code: 0, signal: null, message: null, status: null }],
    [
      'with an exit code',
      { status: 'exited', exitCode: 3 },
      {},
      { code: 3, signal: null, message: 'Exited with error status 3', status: 'RE' },
    ],
    [
      'with an exception that nobody caught',
      { status: 'function_error', name: 'ZeroDivisionError', message: 'division by zero', stack: '' },
      { stderr: 'Traceback' },
      {
        ...{ code: 1, signal: null, stderr: 'Traceback' },
        ...{ message: 'Exited with error status 1', status: 'RE' },
      },
    ],
    [
      'by a signal',
      { status: 'signaled', signal: 'SIGSEGV' },
      {},
      { code: null, signal: 'SIGSEGV', message: 'Caught fatal signal 11', status: 'SG' },
    ],
    [
      'out of time, with what it had printed',
      { status: 'timeout', limit: 'wall', ms: 3000, usedMs: 3001 },
      { stdout: 'so far' },
      {
        ...killed,
        stdout: 'so far',
        output: 'so far',
        message: 'Time limit exceeded (wall clock)',
        status: 'TO',
      },
    ],
    [
      'out of CPU time',
      { status: 'timeout', limit: 'cpu', ms: 3000, usedMs: 3001 },
      {},
      { ...killed, message: 'Time limit exceeded', status: 'TO' },
    ],
    [
      'with too much on stdout',
      { status: 'limit_exceeded', limit: 'output', max: 4, peak: 4 },
      { stdout: 'abcd', stdoutTruncated: true },
      { ...killed, stdout: 'abcd', message: 'stdout length exceeded', status: 'OL' },
    ],
    [
      'with too much on stderr',
      { status: 'limit_exceeded', limit: 'output', max: 4, peak: 4 },
      { stderr: 'abcd', stderrTruncated: true },
      { ...killed, stderr: 'abcd', message: 'stderr length exceeded', status: 'EL' },
    ],
    [
      'out of memory',
      { status: 'oom_killed', memoryMaxBytes: 1000, memoryPeakBytes: 1000 },
      {},
      { ...killed, message: 'Memory limit of 1000 bytes exceeded', status: 'SG' },
    ],
    [
      'with too many processes',
      { status: 'limit_exceeded', limit: 'pids', max: 64, peak: 64 },
      {},
      { code: 1, signal: null, message: 'Limit of 64 exceeded: pids', status: 'RE' },
    ],
    [
      'because its worker died',
      { status: 'lost', reason: 'the worker died' },
      {},
      { code: null, signal: null, message: 'the worker died', status: 'XX' },
    ],
  ])('%s', async (_, outcome, fields, expected) => {
    await runs({ outcome, ...fields });
    const { status, body } = await answer(await gateway.postJson(execute, hello));
    expect(status).toBe(200);
    expect(body.run).toMatchObject(expected);
  });

  test('output has both streams in the order in which they came, and in any where nobody knows', async () => {
    let hasEvents = true;
    await gateway.startWorker(async (job) => {
      const lines = (['stdout', 'stderr', 'stdout'] as const).map((type, at) => ({ type, text: `${at}\n` }));
      if (hasEvents) await tell(job, lines);
      return finished(job, { stdout: '0\n2\n', stderr: '1\n' });
    });
    const output = async () => (await answer(await gateway.postJson(execute, hello))).body.run.output;
    expect(await output()).toBe('0\n1\n2\n');
    hasEvents = false;
    expect(await output()).toBe('0\n2\n1\n');
  });
});

describe('a language that is compiled', () => {
  const inC = { language: 'gcc', version: '*', files: [{ name: 'hello', content: 'int main() {}' }] };
  const printed = { stdout: '', stderr: '', stdoutTruncated: false, stderrTruncated: false };

  test('has both stages, each with its own limits and end', async () => {
    await installC();
    const jobs = await runs({
      outcome: { status: 'signaled', signal: 'SIGFPE' },
      compile: { outcome: { status: 'ok' }, ...printed, stderr: 'a warning\n' },
    });
    const limits = { compile_timeout: 4000, compile_memory_limit: 2e8, run_timeout: 1000 };
    const { body } = await answer(await gateway.postJson(execute, { ...inC, ...limits, args: ['x'] }));
    expect(body).toMatchObject({
      compile: { stderr: 'a warning\n', output: 'a warning\n', code: 0, signal: null },
      run: { stdout: '', code: null, signal: 'SIGFPE', status: 'SG' },
      language: 'c',
    });
    expect(jobs[0]).toMatchObject({
      // Compilers go by the extension.
      compile: {
        program: { argv: expect.arrayContaining(['hello.c']), files: [{ path: 'hello.c' }] },
        limits: { wallMs: 4000, cpuMs: 10_000, memoryBytes: 2e8 },
      },
      program: { argv: ['./a.out', 'x'] },
      limits: { wallMs: 1000 },
    });
  });

  test('is not run where its compiler fails, whose end both stages show', async () => {
    await installC();
    const compile = { outcome: { status: 'exited' as const, exitCode: 1 }, ...printed, stderr: 'error: x' };
    await runs({ outcome: { status: 'compile_failed' }, compile });
    const { body } = await answer(await gateway.postJson(execute, inC));
    expect(body.compile).toMatchObject({ code: 1, stderr: 'error: x', status: 'RE' });
    expect(body.run).toEqual(body.compile);
  });

  async function installC(): Promise<void> {
    const c = findLanguage('c');
    if (!c) throw new Error('there is no C');
    const announcer = await announce(testRedis.redis, [describedImage(languageImage(c))], 'with-c');
    gateway.undo.push(() => announcer.leave());
  }
});

describe('languages', () => {
  const get = async (path: string) => answer(await gateway.app.request(path));

  test('runtimes are those that are installed, packages all that there are', async () => {
    for (const prefix of ['/api/v2', '/api/v2/piston']) {
      const runtimes = await get(`${prefix}/runtimes`);
      // Some clients ask so.
      expect(await get(`${prefix}/runtimes/`)).toEqual(runtimes);
      expect(runtimes.status).toBe(200);
      const named = (language: string) =>
        runtimes.body.find((one: { language: string }) => one.language === language);
      expect(named('bash')).toEqual({
        language: 'bash',
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
        aliases: ['sh'],
      });
      expect(named('javascript')).toMatchObject({ runtime: 'node', aliases: expect.arrayContaining(['js']) });
      expect(named('go')).toBeUndefined();
      const packages = await get(`${prefix}/packages`);
      expect(packages.body).toContainEqual({
        language: 'python',
        language_version: expect.stringMatching(/^3\./),
        installed: true,
      });
    }
  });

  test('a package that there is not is a 404', async () => {
    for (const method of ['POST', 'DELETE'])
      for (const [body, name] of [
        [{ language: 'klingon', version: '1.0.0' }, 'klingon-1.0.0'],
        [{ language: 'bash', version: '1.x' }, 'bash-1.x'],
        [{}, 'undefined-undefined'],
      ] as const)
        expect(await answer(await gateway.postJson('/api/v2/packages', body, { method }))).toEqual({
          status: 404,
          body: { message: `Requested package ${name} does not exist` },
        });
  });
});
