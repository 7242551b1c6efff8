import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';
import { useCli, useRunningCli } from './use-cli.ts';
import { useDirectory } from './use-directory.ts';

const running = usePlatform();
const cli = useCli(() => running.platform.url);
const start = useRunningCli(() => running.platform.url);

const code = `export const handler = async (event, context) => {
  console.log('called with', JSON.stringify(event));
  if (event?.fail) throw new Error('boo');
  if (event?.sleep) await new Promise((done) => setTimeout(done, 60_000));
  return event?.text ?? { event, mark: process.env.MARK, version: context.functionVersion };
};`;

beforeAll(async () => {
  await running.client.deploy('echo', {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: code }],
    limits: { wallMs: 120_000 },
  });
});

describe('deploy', () => {
  test('a directory becomes a function that can be called, and its next deploy the next version', async () => {
    const directory = await useDirectory({
      'package.json': '{"name":"@me/greeter","main":"lib/main"}',
      'lib/main.js': "exports.handler = () => require('dep') + process.env.MARK;",
      'node_modules/dep/index.js': 'module.exports = "from a dependency"',
    });
    const first = await cli(['deploy', directory, '-e', 'MARK=!']);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/^greeter, version 1: node, lib\/main\.handler, 3 files, .*\nsha256:/);
    expect(await cli(['invoke', 'greeter'])).toEqual({ code: 0, stdout: 'from a dependency!\n', stderr: '' });

    const second = await cli(['deploy', '--json', '-e', 'MARK=?', directory]);
    expect(JSON.parse(second.stdout)).toMatchObject({ name: 'greeter', version: 2, env: { MARK: '?' } });
    expect((await cli(['functions', 'show', 'greeter'])).stdout).toMatch(/\n2 \* .*\n1 {2}/);
    expect(await cli(['functions', 'rm', 'greeter', 'missing'])).toEqual({
      code: 1,
      stdout: 'removed greeter\n',
      stderr: 'oncebox: there is no function "missing"\n',
    });
  });

  test('on a terminal the upload is drawn, without colours where they are not wanted', async () => {
    const directory = await useDirectory({ 'index.mjs': code, data: 'x'.repeat(300_000) }, 'large');
    const { stderr } = await cli(['deploy', directory], { isTerminal: true, env: { NO_COLOR: '1' } });
    expect(stripVTControlCharacters(stderr)).toMatch(/✔ upload large {2}█{24} .* \/ .*B\n$/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what colours are made of
    expect(stderr).not.toMatch(/\x1b\[[0-9;]*m/);
    await running.client.deleteFunction('large');
  });

  test('what the platform refuses is said in its words', async () => {
    const directory = await useDirectory({ 'index.mjs': code });
    const { code: exitCode, stderr } = await cli(['deploy', '--image', 'no-such-image', directory]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('no-such-image');
  });
});

describe('invoke', () => {
  test('the event comes from the command line, a file or standard input', async () => {
    const directory = await useDirectory({ 'event.json': '{"text":"from a file"}' });
    const file = `@${join(directory, 'event.json')}`;
    expect((await cli(['invoke', 'echo', '-d', '{"text":"given"}'])).stdout).toBe('given\n');
    expect((await cli(['invoke', 'echo', '-d', file])).stdout).toBe('from a file\n');
    const piped = await cli(['invoke', 'echo', '-d', '-'], { stdin: '{"text":"piped"}' });
    expect(piped.stdout).toBe('piped\n');
    expect(JSON.parse((await cli(['invoke', 'echo'])).stdout)).toEqual({ event: null, version: '1' });
  });

  test('what is no JSON is refused before anything is called', async () => {
    const wrong = await cli(['invoke', 'echo', '-d', '{text}']);
    expect(wrong).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/--data as an event: it is not JSON/),
    });
    const missing = await cli(['invoke', 'echo', '-d', '@/no/such']);
    expect(missing).toMatchObject({ code: 125, stderr: expect.stringContaining('/no/such: no such file') });
  });

  test('--logs writes what was printed to standard error, apart from the result', async () => {
    expect(await cli(['invoke', 'echo', '--logs', '-d', '{"text":"a"}'])).toEqual({
      code: 0,
      stdout: 'a\n',
      stderr: 'called with {"text":"a"}\n',
    });
  });

  test('--json gives result and invocation', async () => {
    const { stdout } = await cli(['invoke', '--json', 'echo', '-d', '{"text":"a"}']);
    expect(JSON.parse(stdout)).toMatchObject({ result: 'a', invocationId: expect.stringMatching(/^inv_/) });
  });

  test('a failure ends with its code and the error of the function', async () => {
    const { code: exitCode, stdout, stderr } = await cli(['invoke', 'echo', '-d', '{"fail":true}']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^oncebox: Error: boo\n {4}at [\s\S]*"oncebox logs inv_/);
    const json = await cli(['invoke', '--json', '-l', 'echo', '-d', '{"fail":true}']);
    expect(JSON.parse(json.stdout)).toMatchObject({ outcome: { status: 'function_error', message: 'boo' } });
    expect(json.stderr).toContain('called with {"fail":true}');
  });

  test('a function that is not there ends with 125', async () => {
    expect(await cli(['invoke', 'missing'])).toMatchObject({ code: 125, stdout: '' });
  });

  test('--async prints an id, which can be cancelled', async () => {
    const { stdout } = await cli(['invoke', '--async', 'echo', '-d', '{"sleep":true}']);
    expect(stdout).toMatch(/^inv_[a-z2-7]{26}\n$/);
    const cancelled = await cli(['cancel', stdout.trim()]);
    expect(cancelled).toMatchObject({ code: 0, stdout: expect.stringContaining(stdout.trim()) });
  });

  test('--batch calls for each line, and prints an id for each', async () => {
    const directory = await useDirectory({ 'events.jsonl': '{"text":"a"}\n\n{"fail":true}\n' });
    const { code, stdout, stderr } = await cli([
      'invoke',
      'echo',
      '--batch',
      join(directory, 'events.jsonl'),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const outcome = async (id: string) => (await running.client.invocation(id)).outcome?.status;
    const ids = stdout.trim().split('\n');
    await expect
      .poll(() => Promise.all(ids.map(outcome)), { timeout: 120_000 })
      .toEqual(['ok', 'function_error']);
    const piped = await cli(['invoke', 'echo', '--batch', '-', '--json'], { stdin: '{}' });
    expect(JSON.parse(piped.stdout)).toMatchObject({ id: expect.stringMatching(/^inv_/) });
    const wrong = await cli(['invoke', 'echo', '--batch', '-'], { stdin: '{}\n{' });
    expect(wrong).toMatchObject({ code: 125, stderr: expect.stringContaining('line 2 of standard input') });
  });

  test('an interrupt ends it while it waits for input, too', async () => {
    const endless = new Readable({ read: () => void endless.emit('asked') });
    const call = start(['invoke', 'echo', '-d', '-'], { stdin: endless });
    await once(endless, 'asked');
    call.interrupt();
    expect((await call.ended).code).toBe(130);
  });

  test('an interrupt cancels the call and ends with 130', async () => {
    const call = start(['invoke', 'echo', '-d', '{"sleep":true}']);
    await expect
      .poll(async () => (await running.client.sandboxes()).sandboxes.some((one) => one.function === 'echo'), {
        timeout: 120_000,
      })
      .toBe(true);
    call.interrupt();
    expect(await call.ended).toMatchObject({ code: 130, stdout: '' });
  });
});

describe('dev', () => {
  const source = (text: string) =>
    `export const handler = (event) => { console.log('hi'); return ${text}; };`;

  test('deploys at once and after every save, calls each version, and errors do not end it', async () => {
    const directory = await useDirectory(
      { 'index.mjs': source('event.n + 1'), 'node_modules/x/index.js': '', '../event.json': '{"n":1}' },
      'watched',
    );
    const dev = start(['dev', directory, '--invoke', join(directory, '../event.json')]);
    onTestFinished(() => dev.interrupt());
    await dev.stdout.until(/watched, version 1, in \d+ ms\n2\n/);
    await dev.stderr.until(/hi\n/);

    await writeFile(join(directory, 'index.mjs'), source('event.n + 2'));
    await dev.stdout.until(/watched, version 2, in \d+ ms\n3\n/);

    await writeFile(join(directory, 'index.mjs'), source('nothing.here'));
    await dev.stdout.until(/watched, version 3, /);
    await dev.stderr.until(/ReferenceError: nothing is not defined/);

    await writeFile(join(directory, 'oncebox.json'), '{"limits":{"wallMs":-1}}');
    await dev.stderr.until(/limits\.wallMs/);
    await writeFile(join(directory, 'oncebox.json'), '{"limits":{"wallMs":60000}}');
    await writeFile(join(directory, 'index.mjs'), source('event.n + 3'));
    await dev.stdout.until(/watched, version \d+, in \d+ ms\n4\n/);

    dev.interrupt();
    expect(await dev.ended).toMatchObject({ code: 130 });
    await running.client.deleteFunction('watched');
  });

  test('a save while a call is under way does not wait for it', async () => {
    const slow = 'export const handler = () => new Promise((done) => setTimeout(done, 60_000));';
    const directory = await useDirectory({ 'index.mjs': slow, '../event.json': '{}' }, 'impatient');
    const dev = start([
      'dev',
      '--json',
      directory,
      '--limit',
      'wallMs=100000',
      '-i',
      join(directory, '../event.json'),
    ]);
    onTestFinished(() => dev.interrupt());
    await dev.stdout.until(/"version":1/);
    await writeFile(join(directory, 'index.mjs'), source('"quick"'));
    await dev.stdout.until(/"type":"result","result":"quick"/);
    for (const line of dev.stdout.text.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('type');
    dev.interrupt();
    await dev.ended;
    await running.client.deleteFunction('impatient');
  });

  test('a save that changes nothing while a call is under way does not lose its answer', async () => {
    const slow = "export const handler = () => new Promise((done) => setTimeout(done, 3_000, 'slow'));";
    const directory = await useDirectory({ 'index.mjs': slow, '../event.json': '{}' }, 'saved-twice');
    const argv = ['dev', directory, '--limit', 'wallMs=60000', '-i', join(directory, '../event.json')];
    const dev = start(argv);
    onTestFinished(() => dev.interrupt());
    await dev.stdout.until(/saved-twice, version 1, /);
    await writeFile(join(directory, 'index.mjs'), slow);
    await dev.stdout.until(/\nslow\n/);
    expect(dev.stdout.text).not.toContain('version 2');
    dev.interrupt();
    await dev.ended;
    await running.client.deleteFunction('saved-twice');
  });

  test('a directory that is not there is refused', async () => {
    expect(await cli(['dev', '/nowhere'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('/nowhere'),
    });
  });
});
