import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { digest, useStandIn } from './stand-in.ts';
import { useCli } from './use-cli.ts';

const standIn = useStandIn();
const cli = useCli(standIn.url);

test('images are a table for people, whose columns stand under their headings', async () => {
  const { code, stdout } = await cli(['images']);
  const [head = '', first = '', second = ''] = stdout.split('\n');
  expect(code).toBe(0);
  expect(head.split(/\s{2,}/)).toEqual([
    'REFERENCE',
    'DIGEST',
    'CREATED',
    'SIZE',
    'SHARED',
    'UNIQUE',
    'LAYERS',
    'SANDBOXES',
  ]);
  expect(first).toMatch(/^localhost\/app:latest +a{12} +\d+ years ago +210 MB +200 MB +10 MB +3 +2$/);
  expect(second).toMatch(/^<none> +a{12} +- +210 MB/);
  for (const name of ['DIGEST', 'SIZE']) expect(first[head.indexOf(name)]).not.toBe(' ');
});

test('with --json, before or after the command, it is what the API said', async () => {
  const after = await cli(['images', '--json']);
  const before = await cli(['--json', 'images']);
  expect(JSON.parse(after.stdout)).toMatchObject([
    { reference: 'localhost/app:latest', sizeBytes: 210_000_000 },
    {},
  ]);
  expect(before).toEqual(after);
});

test('history shortens long commands unless told not to', async () => {
  const short = (await cli(['history', 'app'])).stdout.trimEnd().split('\n');
  expect(short[1]).toMatch(/^- +\d+ years ago +CMD \["sh"\] +0 B$/);
  expect(short[2]).toMatch(/^b{12} .*RUN long .*… +10 MB$/);
  expect((await cli(['history', '--no-trunc', 'app'])).stdout).toContain('long '.repeat(30).trim());
});

test('inspect prints JSON for people too', async () => {
  expect(JSON.parse((await cli(['inspect', 'app'])).stdout)).toMatchObject({ config: { Cmd: ['sh'] } });
});

test('tag says nothing when it went well', async () => {
  expect(await cli(['tag', 'app', 'other:1'])).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(standIn.requests).toEqual([{ route: 'tag', request: { source: 'app', target: 'other:1' } }]);
});

test('rm removes all it can, and fails when it could not remove one', async () => {
  const { code, stdout, stderr } = await cli(['rm', 'missing', 'app']);
  expect(code).toBe(1);
  expect(stdout).toBe(`untagged app\ndeleted ${digest('a')}\nfreed 10 MB\n`);
  expect(stderr).toContain('there is no image "missing"');
});

test('rm of an image in use says what stands on it and what to do, and --force is passed on', async () => {
  const refused = await cli(['rm', 'busy']);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/^oncebox: 2 sandboxes stand on .*\n.*"oncebox ps".*--force/);
  expect((await cli(['rm', '--force', 'busy'])).code).toBe(0);
});

test('prune and df say what is freed and what could be', async () => {
  expect((await cli(['prune'])).stdout).toBe(`image ${digest('a')}\nlayer ${digest('b')}\nfreed 12.3 MB\n`);
  const { stdout } = await cli(['df']);
  expect(stdout).toMatch(/^TYPE +COUNT +SIZE +RECLAIMABLE\nimages +2 +5 MB +1 kB\n/);
  expect(stdout).toMatch(/\n9 GB free on the disk of the images\n$/);
});

test('ps shows what runs, with -a what is parked too, and names nodes that did not answer', async () => {
  const { stdout, stderr } = await cli(['ps']);
  expect(stdout.split('\n')[1]).toMatch(
    /^ab12-2 +running +- +a{12} +inv_1 +61 s +900 kB +4.1 kB \(virtual 210 MB\)$/,
  );
  expect(stdout).not.toContain('ab12-1');
  expect(stderr).toBe('no answer from slow-node\n');
  expect((await cli(['ps', '-a'])).stdout).toContain('ab12-1');
});

test('a platform that does not run is named with what to do', async () => {
  // The near end of a connection has a port that nobody else gets and where nothing listens.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  await once(socket, 'connect');
  const url = `http://127.0.0.1:${socket.localPort}`;
  const { code, stderr } = await cli(['images', '--url', url]);
  expect(code).toBe(1);
  expect(stderr).toBe(
    `oncebox: cannot reach oncebox at ${url}: nothing listens there\nstart it with "oncebox up", or say where it is with --url or ONCEBOX_URL\n`,
  );
});

test.each([
  [['images', '--url', 'ftp://x'], /must look like http:\/\/127\.0\.0\.1:8080/],
  [['imagse'], /unknown command 'imagse'\n\(Did you mean images\?\)\n\("oncebox --help" says more\)/],
  [['tag', 'one'], /missing required argument 'target'/],
  [['build', '.'], /required option '-t, --tag <reference>' not specified/],
])('%j is a wrong command line: exit code 2', async (argv, message) => {
  const { code, stderr } = await cli(argv);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
});

test('--help lists every command, and goes to standard output', async () => {
  const { code, stdout } = await cli(['--help']);
  expect(code).toBe(0);
  for (const name of ['images', 'pull', 'push', 'import', 'build', 'inspect', 'history', 'tag', 'rm'])
    expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
});

test('a key goes with every request: that of the command line before that of the environment', async () => {
  const env = { ONCEBOX_API_KEY: 'ocb_a_b' };
  await cli(['images']);
  expect(standIn.authorization).toBeUndefined();
  await cli(['images'], { env });
  expect(standIn.authorization).toBe('Bearer ocb_a_b');
  await cli(['images', '--key', 'ocb_c_d'], { env });
  expect(standIn.authorization).toBe('Bearer ocb_c_d');
});
