import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import type { ImageEvent } from '../../sdk/contract/image.ts';
import { anImage, digest, useStandIn } from './stand-in.ts';
import { useCli } from './use-cli.ts';

const standIn = useStandIn();
const cli = useCli(standIn.url);
const done: ImageEvent = { type: 'done', image: anImage };
const download: ImageEvent[] = [
  { type: 'step', step: 'download', subject: digest('c') },
  ...[0, 1, 2, 3, 4].map((n): ImageEvent => ({ type: 'progress', doneBytes: n * 1e6, totalBytes: 4e6 })),
];

async function useFiles(files: Record<string, string>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-cli-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  return directory;
}

test('pull writes a line a step to a log, and the image to standard output', async () => {
  standIn.events = [...download, { type: 'step', step: 'unpack', subject: digest('d') }, done];
  expect(await cli(['pull', 'alpine:3.20'])).toEqual({
    code: 0,
    stdout: `localhost/app:latest ${digest('a')}\n`,
    stderr: `download ${'c'.repeat(12)}\nunpack ${'d'.repeat(12)}\n`,
  });
  expect(standIn.requests[0]).toEqual({
    route: 'pull',
    request: { reference: 'alpine:3.20', insecure: false },
  });
});

test('on a terminal each step is a bar that ends marked as done', async () => {
  standIn.events = [...download, { type: 'output', line: 'hello' }, done];
  const { stderr } = await cli(['pull', 'x'], { isTerminal: true });
  expect(stripVTControlCharacters(stderr)).toContain('  hello\n');
  expect(stripVTControlCharacters(stderr)).toMatch(/✔ download c{12} {2}█{24} 4 MB \/ 4 MB\n$/);
});

test('on a terminal the step that failed is marked as such', async () => {
  const error = { code: 'registry_failed', message: 'cannot pull x: refused' };
  standIn.events = [...download.slice(0, 2), { type: 'error', error }];
  const { code, stdout, stderr } = await cli(['pull', 'x'], { isTerminal: true });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stripVTControlCharacters(stderr)).toMatch(
    /✖ download c{12}.*0 B \/ 4 MB\noncebox: cannot pull x: refused\n/,
  );
});

test('a reply that breaks off is no success', async () => {
  standIn.events = download;
  const { code, stderr } = await cli(['pull', 'x']);
  expect(code).toBe(1);
  expect(stderr).toContain('the connection ended before the task did');
});

test('a password comes from standard input or the environment, never from the command line', async () => {
  const auth = { username: 'ada', password: 'secret' };
  await cli(['pull', '--username', 'ada', '--password-stdin', '--insecure', 'r:5000/x'], {
    stdin: 'secret\n',
  });
  await cli(['push', 'app', 'r:5000/x'], {
    env: { ONCEBOX_REGISTRY_USERNAME: 'ada', ONCEBOX_REGISTRY_PASSWORD: 'secret' },
  });
  expect(standIn.requests.map(({ request }) => request)).toEqual([
    { reference: 'r:5000/x', insecure: true, auth },
    { source: 'app', target: 'r:5000/x', insecure: false, auth },
  ]);
  expect((await cli(['pull', '--username', 'ada', 'x'])).code).toBe(2);
});

test("push --function sends a function's version", async () => {
  await cli(['push', '--function', '--version', '3', 'hello', 'r:5000/hello:3']);
  expect(standIn.requests[0]).toEqual({
    route: 'push function',
    request: { name: 'hello', target: 'r:5000/hello:3', version: 3, insecure: false },
  });
});

test('import sends a file or standard input, byte for byte', async () => {
  const archive = Buffer.alloc(3_000_000, 'an archive ');
  const sha256 = createHash('sha256').update(archive).digest('hex');
  const directory = await useFiles({});
  await writeFile(join(directory, 'image.tar'), archive);
  expect((await cli(['import', join(directory, 'image.tar')])).code).toBe(0);
  expect((await cli(['import', '-t', 'app', '-'], { stdin: archive })).code).toBe(0);
  expect(standIn.requests.map(({ request }) => request)).toEqual([{ sha256 }, { sha256, reference: 'app' }]);
  const { code, stderr } = await cli(['import', '/does/not/exist.tar']);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: 'oncebox: cannot read /does/not/exist.tar: no such file\n',
  });
});

test('build sends the context without what .dockerignore names', async () => {
  const directory = await useFiles({
    'docker/app.Dockerfile': 'FROM x',
    '.dockerignore': '# kept out\n*.log\n**/node_modules\nsecret\n!secret/public.txt\ndocker\n',
    'main.js': '',
    'a.log': '',
    'deep/b.log': '',
    'deep/node_modules/x/index.js': '',
    'node_modules/y/index.js': '',
    'secret/key': '',
    'secret/public.txt': '',
  });
  const argv = [
    '-f',
    'docker/app.Dockerfile',
    '--build-arg',
    'A=b=c',
    '--build-arg',
    'FROM_ENV',
    '--target',
    'last',
  ];
  const { code } = await cli(['build', '-t', 'app', ...argv, directory], { env: { FROM_ENV: 'yes' } });
  expect(code).toBe(0);
  expect(standIn.requests[0]?.request).toEqual({
    reference: 'app',
    dockerfile: 'docker/app.Dockerfile',
    target: 'last',
    args: { A: 'b=c', FROM_ENV: 'yes' },
    // "*.log" is anchored, as Docker has it: deep/b.log is sent.
    paths: [
      '.dockerignore',
      'deep/',
      'deep/b.log',
      'docker/',
      'docker/app.Dockerfile',
      'main.js',
      'secret/',
      'secret/public.txt',
    ],
  });
});

test('build without a Dockerfile or a directory says so before anything is sent', async () => {
  const directory = await useFiles({ 'main.js': '' });
  expect((await cli(['build', '-t', 'x', directory])).stderr).toContain(
    `cannot read ${directory}/Dockerfile`,
  );
  expect((await cli(['build', '-t', 'x', '-f', '../out', directory])).stderr).toContain(
    'give its path inside',
  );
  expect((await cli(['build', '-t', 'x', join(directory, 'main.js')])).stderr).toContain('not a directory');
  expect(standIn.requests).toEqual([]);
});

test('an interrupted task ends with 130', async () => {
  const controller = new AbortController();
  controller.abort(new Error('interrupted'));
  expect((await cli(['pull', 'x'], { signal: controller.signal })).code).toBe(130);
});
