import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';
import { useCli, useRunningCli } from './use-cli.ts';
import { useDirectory } from './use-directory.ts';

const running = usePlatform(() => ({ ONCEBOX_CALLBACK_ALLOW: '127.0.0.0/8' }));
const cli = useCli(() => running.platform.url);
const start = useRunningCli(() => running.platform.url);

const code = `export const handler = async ({ text = '', fails = false, waits = false } = {}) => {
  console.log('said ' + text);
  if (waits) await new Promise((done) => setTimeout(done, 50_000));
  if (fails) throw new Error('boo');
  return text;
};`;

async function deploy(name: string): Promise<void> {
  await running.client.deploy(name, {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: code }],
    limits: { wallMs: 60_000 },
  });
}
beforeAll(() => Promise.all(['sayer', 'dead', 'tuned', 'logged', 'unused'].map(deploy)));

/** The id of a call with `--async` that has ended. */
async function ended(argv: string[]): Promise<string> {
  const { stdout } = await cli(['invoke', '--async', ...argv]);
  const id = stdout.trim();
  await running.client.wait(id);
  return id;
}

describe('invocations', () => {
  test('they are listed newest first, by function and status, and "ps --invocations" is the same', async () => {
    const first = await ended(['sayer', '-d', '{"text":"a"}']);
    const second = await ended(['sayer', '-d', '{"fails":true}']);
    const listed = await cli(['invocations', '--function', 'sayer', '--status', 'done']);
    expect(listed).toMatchObject({ code: 0, stderr: '' });
    expect(listed.stdout).toMatch(
      new RegExp(
        `^INVOCATION .*\n${second} +sayer:1 +done +function_error .* ms\n${first} +sayer:1 +done +ok `,
      ),
    );
    expect((await cli(['ps', '--invocations', '--function', 'sayer'])).stdout).toBe(listed.stdout);
    expect((await cli(['invocations', '-q', '--limit', '1', '--function', 'sayer'])).stdout).toBe(
      `${second}\n`,
    );
    expect((await cli(['invocations', '-q', '--function', 'sayer', '--status', 'queued'])).stdout).toBe('');
    const [newest] = JSON.parse((await cli(['ps', '--invocations', '--json', '--limit', '1'])).stdout);
    expect(newest).toMatchObject({ id: second });
  });

  test.each([
    ['invocations', '--status', 'lost'],
    ['invocations', '--limit', '101'],
    ['ps', '--limit', '5'],
    ['ps', '--all', '--invocations'],
  ])('%s %s %s is a wrong command line', async (...argv) => {
    expect((await cli(argv)).code).toBe(2);
  });
});

describe('dead-letters', () => {
  test('a call that failed for good is listed, shown, run again and removed', async () => {
    const id = await ended(['dead', '-d', '{"fails":true}']);
    const other = await ended(['dead', '-d', '{"fails":true,"text":"x"}']);
    const list = (...options: string[]) => cli(['dead-letters', 'ls', '--function', 'dead', ...options]);
    await expect.poll(async () => (await list('-q')).stdout, { timeout: 60_000 }).toBe(`${other}\n${id}\n`);
    expect((await list()).stdout).toMatch(
      new RegExp(`\n${id} +dead +function_error +1 +\\d+ (second|minute)s? ago`),
    );
    expect(JSON.parse((await cli(['dead-letters', 'show', id])).stdout)).toMatchObject({ id, attempts: 1 });

    const redriven = await cli(['dead-letters', 'redrive', id]);
    expect(redriven).toMatchObject({ code: 0, stdout: expect.stringMatching(/^inv_[a-z2-7]{26}\n$/) });
    expect(await running.client.wait(redriven.stdout.trim())).toMatchObject({ redriveOf: id });
    expect((await list('-q')).stdout).not.toContain(id);

    expect(await cli(['dead-letters', 'rm', other, 'inv_none'])).toEqual({
      code: 1,
      stdout: `removed ${other}\n`,
      stderr: 'oncebox: there is no dead letter of this invocation\n',
    });
    expect((await cli(['dead-letters', 'show', other])).code).toBe(1);
  });
});

describe('settings', () => {
  const settings = async (...argv: string[]) =>
    JSON.parse((await cli(['settings', 'tuned', '--json', ...argv])).stdout);

  test('what is given is set, what is not stays, and each can be taken back', async () => {
    expect((await cli(['settings', 'tuned'])).stdout).toBe(
      'concurrency   no bound\nkeep warm     0\nretry         none\ndead letters  kept\n',
    );
    const set = await cli(['settings', 'tuned', '--concurrency', '2', '--retry-attempts', '3']);
    expect(set).toMatchObject({ code: 0, stderr: '' });
    expect(set.stdout).toMatch(/^concurrency {3}2\n[\s\S]*3 attempts, on function_error, exited, timeout, /);
    const options = ['--retry-on', 'timeout', '--retry-backoff', '2s', '--no-dead-letter'];
    const expected = {
      concurrency: 2,
      retry: { attempts: 3, on: ['timeout'], backoffMs: 2_000, backoffMaxMs: 60_000 },
      deadLetter: false,
    };
    expect(await settings(...options)).toEqual(expected);
    expect(await settings()).toEqual(expected);
    expect(await settings('--no-concurrency', '--no-retry', '--dead-letter')).toEqual({ deadLetter: true });
    expect(await settings('--keep-warm', '1')).toMatchObject({ keepWarm: 1 });
    expect(await settings('--keep-warm', '0')).toMatchObject({ keepWarm: 0 });
  });

  test('a call is run again as often as its settings say', async () => {
    await settings('--retry-attempts', '2', '--retry-backoff', '10ms');
    const id = await ended(['tuned', '-d', '{"fails":true}']);
    expect(await running.client.invocation(id)).toMatchObject({ attempt: 2 });
    await settings('--no-retry');
  });

  test('what the platform does not take, and a function that is not there, are refused', async () => {
    expect(await cli(['settings', 'tuned', '--retry-attempts', '11'])).toMatchObject({ code: 1 });
    expect(await cli(['settings', 'missing'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('missing'),
    });
    expect((await cli(['settings', 'tuned', '--retry-on', 'ok'])).code).toBe(2);
  });
});

describe('logs of a function', () => {
  test('they are those of its newest invocation', async () => {
    await ended(['logged', '-d', '{"text":"older"}']);
    const id = await ended(['logged', '-d', '{"text":"newer"}']);
    expect(await cli(['logs', 'logged'])).toEqual({ code: 0, stdout: 'said newer\n', stderr: '' });
    expect(JSON.parse((await cli(['logs', 'logged', '--json'])).stdout)).toMatchObject({ id });
  });

  test('-f goes on with each new one, also while another runs, until it is interrupted', async () => {
    const first = await ended(['logged', '-d', '{"text":"first"}']);
    const logs = start(['logs', '-f', 'logged']);
    onTestFinished(() => logs.interrupt());
    await logs.stdout.until(new RegExp(`^==> ${first} <==\nsaid first\n$`));
    const waiting = (await cli(['invoke', '-a', 'logged', '-d', '{"text":"waits","waits":true}'])).stdout;
    await logs.stdout.until(new RegExp(`\n==> ${waiting.trim()} <==\nsaid waits\n$`));
    const last = await ended(['logged', '-d', '{"text":"last"}']);
    await logs.stdout.until(new RegExp(`\n==> ${last} <==\nsaid last\n$`));
    logs.interrupt();
    expect((await logs.ended).code).toBe(130);
    await cli(['cancel', waiting.trim()]);
    await running.client.wait(waiting.trim()); // the next test follows what has not ended
  });

  test('-f --json has the invocation in each line', async () => {
    const id = await ended(['logged', '-d', '{"text":"json"}']);
    const logs = start(['logs', '-f', '--json', 'logged']);
    onTestFinished(() => logs.interrupt());
    await logs.stdout.until(new RegExp(`"id":"${id}","type":"end".*\n`));
    const lines = logs.stdout.text.trim().split('\n');
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ id });
    logs.interrupt();
    await logs.ended;
  });

  test('a function that nobody called, and one that is not there', async () => {
    expect(await cli(['logs', 'unused'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nobody has called it'),
    });
    for (const argv of [
      ['logs', 'missing'],
      ['logs', '-f', 'missing'],
    ]) {
      expect(await cli(argv)).toMatchObject({ code: 1, stderr: expect.stringContaining('"missing"') });
    }
  });
});

describe('how a call is treated', () => {
  test('one key is one invocation, of run and of invoke, and another request with it is refused', async () => {
    const keyed = (data: string, ...options: string[]) =>
      cli(['invoke', 'sayer', '--json', '--idempotency-key', 'once', '-d', data, ...options]);
    const first = JSON.parse((await keyed('{"text":"a"}')).stdout);
    expect(JSON.parse((await keyed('{"text":"a"}')).stdout)).toMatchObject({
      result: 'a',
      invocationId: first.invocationId,
    });
    expect(await keyed('{"text":"b"}')).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('--idempotency-key'),
    });

    const directory = await useDirectory({ 'main.py': 'import uuid; print(uuid.uuid4())' });
    const run = () => cli(['run', '--idempotency-key', 'a-run', join(directory, 'main.py')]);
    const { code: exitCode, stdout } = await run();
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringMatching(/^[0-9a-f-]{36}\n$/) });
    expect((await run()).stdout).toBe(stdout);
  });

  test('the priority is in the record: of a call, of a batch and of a run', async () => {
    const priorityOf = async (id: string) => (await running.client.invocation(id)).priority;
    expect(await priorityOf(await ended(['sayer', '--priority', 'high']))).toBe('high');
    const batch = await cli(['invoke', 'sayer', '--batch', '-', '--priority', 'low'], { stdin: '{}\n{}' });
    const ids = batch.stdout.trim().split('\n');
    expect(await Promise.all(ids.map(priorityOf))).toEqual(['low', 'low']);
    const directory = await useDirectory({ 'main.sh': 'echo hi' });
    const run = await cli(['run', '--async', '--priority', 'low', join(directory, 'main.sh')]);
    expect(run.stdout).toMatch(/^inv_[a-z2-7]{26}\n$/);
    expect(await running.client.wait(run.stdout.trim())).toMatchObject({ priority: 'low', stdout: 'hi\n' });
  });

  test('the record of a call with --async is sent to --callback', async () => {
    const server = createServer();
    const called = new Promise<unknown>((resolve, reject) => {
      server.on('request', (request, response) => {
        json(request).then(resolve, reject);
        response.end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { stdout } = await cli(['invoke', 'sayer', '-d', '{}', '--async', '--callback', url]);
    expect(await called).toMatchObject({ id: stdout.trim(), outcome: { status: 'ok' } });
  });

  test('a callback of a call that is waited for is a wrong command line', async () => {
    const callback = ['--callback', 'https://example.com/'];
    const reply = { code: 125, stderr: expect.stringContaining('--async') };
    expect(await cli(['invoke', 'sayer', ...callback])).toMatchObject(reply);
    expect(await cli(['run', ...callback, 'bash', 'true'])).toMatchObject(reply);
  });
});
