import { Readable } from 'node:stream';
import { beforeAll, describe, expect, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';
import { useCli } from './use-cli.ts';
import { useDirectory } from './use-directory.ts';

const running = usePlatform();
const cli = useCli(() => running.platform.url);

async function deploy(name: string, times: number): Promise<void> {
  for (let version = 1; version <= times; version += 1) {
    const content = `export const handler = () => 'version ${version}';`;
    await running.client.deploy(name, {
      runtime: 'node',
      handler: 'index.handler',
      files: [{ path: 'index.mjs', content }],
    });
  }
}
beforeAll(() => deploy('app', 3));

describe('alias and rollback', () => {
  test('an alias is set, called, listed and removed', async () => {
    expect(await cli(['alias', 'set', 'app', 'prod', '2'])).toEqual({
      code: 0,
      stdout: 'app:prod calls version 2\n',
      stderr: '',
    });
    expect((await cli(['invoke', 'app:prod'])).stdout).toBe('version 2\n');
    expect((await cli(['invoke', 'app:1'])).stdout).toBe('version 1\n');
    const canary = await cli(['alias', 'set', 'app', 'prod', '2', '--weight', '3=0.1', '--weight', '1=0.25']);
    expect(canary.stdout).toMatch(/^app:prod calls version 2; version 1 in 25 %.*version 3 in 10 %/);
    expect((await cli(['alias', 'ls', 'app'])).stdout).toMatch(/\nprod +2 +1=0.25 3=0.1 /);
    expect(await cli(['alias', 'rm', 'app', 'prod', 'missing'])).toMatchObject({
      code: 1,
      stdout: 'removed app:prod\n',
      stderr: expect.stringContaining('missing'),
    });
  });

  test.each(['3', '3=2', 'x=0.1'])('the weight %j is a wrong command line', async (weight) => {
    const { code, stderr } = await cli(['alias', 'set', 'app', 'prod', '2', '--weight', weight]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('VERSION=SHARE') });
  });

  test('rollback makes the version before current, or the one that is named', async () => {
    await deploy('rolled', 3);
    expect((await cli(['rollback', 'rolled'])).stdout).toBe('rolled calls version 2\n');
    expect((await cli(['invoke', 'rolled'])).stdout).toBe('version 2\n');
    expect((await cli(['rollback', 'rolled', '--to', '1'])).stdout).toBe('rolled calls version 1\n');
    expect((await cli(['rollback', 'rolled', '--to', '9'])).code).toBe(1);
  });
});

describe('keys', () => {
  test('a key is shown once, listed without what opens, and taken away', async () => {
    const created = await cli([
      'keys',
      'create',
      'for tests',
      '--scope',
      'read',
      'invoke',
      '--expires',
      '30d',
    ]);
    expect(created.code).toBe(0);
    const [, id = ''] = /^ocb_([a-z0-9]+)_\S+\n$/.exec(created.stdout) ?? [];
    const listed = await cli(['keys']);
    expect(listed.stdout).toMatch(new RegExp(`\n${id} +for tests +default +read,invoke +.* in 4 weeks`));
    expect(listed.stdout).not.toContain(created.stdout.trim());
    expect(await cli(['keys', 'rm', id])).toMatchObject({ code: 0, stdout: `removed ${id}\n` });
    expect((await cli(['keys', 'ls'])).stdout).not.toContain(id);
  });

  test.each([
    ['keys', 'create', 'x'],
    ['keys', 'create', 'x', '--scope', 'all'],
    ['keys', 'create', 'x', '--scope', 'read', '--expires', 'soon'],
  ])('%s %s is a wrong command line', async (...argv) => {
    expect((await cli(argv)).code).toBe(2);
  });
});

describe('secret', () => {
  const content = `import { readFileSync } from 'node:fs';
export const handler = (name) => readFileSync('/run/secrets/' + name).toString('base64');`;
  const inSandbox = async (name: string) => {
    const { stdout } = await cli(['invoke', 'reader', '-d', JSON.stringify(name)]);
    return Buffer.from(stdout, 'base64');
  };

  test('a secret is set from standard input, found by the functions that name it, listed and removed', async () => {
    const set = await cli(['secret', 'set', 'API_TOKEN'], { stdin: 'swordfish\n' });
    expect(set).toEqual({ code: 0, stdout: 'API_TOKEN, version 1: 9 B\n', stderr: '' });
    const bytes = Buffer.from([0xff, 0x00, 0x0a]);
    expect((await cli(['secret', 'set', 'key.bin'], { stdin: bytes })).stdout).toContain(': 3 B');

    const settings = '{"name":"reader","secrets":["key.bin"]}';
    const directory = await useDirectory({ 'index.mjs': content, 'oncebox.json': settings });
    expect((await cli(['deploy', directory, '--secret', 'API_TOKEN', '--secret', 'key.bin'])).code).toBe(0);
    expect((await inSandbox('API_TOKEN')).toString()).toBe('swordfish');
    expect(await inSandbox('key.bin')).toEqual(bytes);

    const again = await cli(['secret', 'set', 'API_TOKEN', '--keep-newline'], { stdin: 'tuna\n' });
    expect(again.stdout).toBe('API_TOKEN, version 2: 5 B\n');
    expect((await inSandbox('API_TOKEN')).toString()).toBe('tuna\n');

    const listed = await cli(['secret', 'ls']);
    expect(listed.stdout).toMatch(/^SECRET .*\nAPI_TOKEN +5 B +2 .*\nkey\.bin +3 B +1 /);
    expect(listed.stdout).not.toContain('tuna');
    expect(await cli(['secret', 'rm', 'API_TOKEN', 'missing'])).toMatchObject({
      code: 1,
      stdout: 'removed API_TOKEN\n',
    });
    expect(await cli(['invoke', 'reader'])).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('oncebox secret set'),
    });
  });

  test('nothing, and what is typed where others can see it, are no secrets', async () => {
    expect(await cli(['secret', 'set', 'EMPTY'], { stdin: '\n' })).toMatchObject({ code: 2 });
    const terminal = Object.assign(Readable.from(['typed']), { isTTY: true });
    expect(await cli(['secret', 'set', 'TYPED'], { stdin: terminal })).toMatchObject({ code: 2 });
    expect((await cli(['secret', 'ls', '--json'])).stdout).not.toMatch(/EMPTY|TYPED/);
  });
});

describe('tenants', () => {
  test('quotas are set one by one, listed, shown with what is used, and lifted', async () => {
    const set = (...options: string[]) => cli(['tenants', 'set', 'team-a', ...options]);
    const first = await set('--requests-per-minute', '600', '--storage-bytes', '5000000');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/^team-a: requests\/minute 600, concurrency -, .* storage 5 MB\n$/);
    await set('--concurrency', '7', '--no-requests-per-minute');
    const quotas = { concurrency: 7, storageBytes: 5_000_000 };
    expect(JSON.parse((await cli(['tenants', '--json'])).stdout)).toContainEqual({ name: 'team-a', quotas });
    expect((await cli(['tenants', 'ls'])).stdout).toMatch(/\nteam-a +- +7 +- +5 MB/);
    expect((await cli(['tenants', 'show', 'team-a'])).stdout).toMatch(/\nstorage +0 B +5 MB/);
    expect((await set('--storage-bytes', '0')).stdout).toMatch(/storage 0 B/);
  });

  test('a tenant that is not there, and names and numbers that cannot be', async () => {
    expect((await cli(['tenants', 'show', 'team-z'])).code).toBe(1);
    expect((await cli(['tenants', 'set', 'Team Z'])).code).toBe(1);
    expect((await cli(['tenants', 'set', 'team-z', '--concurrency', '0'])).code).toBe(2);
    expect((await cli(['tenants', 'set', 'team-z', '--storage-bytes', '-1'])).code).toBe(2);
  });
});

describe('schedule', () => {
  test('a schedule is set, listed, shown, replaced and removed', async () => {
    const first = await cli([
      'schedule',
      'set',
      'nightly',
      'app',
      '--cron',
      '0 3 * * *',
      '--time-zone',
      'Europe/Berlin',
    ]);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/^nightly calls app next at \d{4}-.*T0[12]:00:00/);
    expect((await cli(['schedule'])).stdout).toMatch(/\nnightly +app +0 3 \* \* \* Europe\/Berlin +in /);
    const second = await cli([
      'schedule',
      'set',
      'nightly',
      'app:1',
      '--every',
      '12h',
      '-d',
      '{"a":1}',
      '--disabled',
    ]);
    expect(second.stdout).toBe('nightly is kept, and calls nothing\n');
    expect(JSON.parse((await cli(['schedule', 'show', 'nightly'])).stdout)).toMatchObject({
      function: 'app:1',
      everyMs: 43_200_000,
      event: { a: 1 },
      enabled: false,
    });
    expect(await cli(['schedule', 'rm', 'nightly'])).toMatchObject({ code: 0, stdout: 'removed nightly\n' });
    expect((await cli(['schedule', 'show', 'nightly'])).code).toBe(1);
  });

  test('two rules at once, a span that is none, and what the platform refuses', async () => {
    const set = (...argv: string[]) => cli(['schedule', 'set', 'x', 'app', ...argv]);
    expect((await set('--cron', '* * * * *', '--every', '1h')).code).toBe(2);
    expect((await set('--every', 'often')).code).toBe(2);
    expect((await set('--cron', '61 * * * *')).code).toBe(1);
    expect((await set()).code).toBe(1);
  });
});
