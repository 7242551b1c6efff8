import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { list } from 'tar';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ImageDetail, ImageSummary } from '../../sdk/contract/image.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { muslImageArchive, muslImageConfig, muslImageUser } from '../support/musl-image.ts';
import { ownStoreConfig } from '../support/platform.ts';
import { useRegistry } from '../support/registry.ts';
import { useCli } from './use-cli.ts';

const registry = useRegistry();
let config: Config;
let platform: Platform;
let directory: string;
const cli = useCli(() => platform.url);
const images = async (): Promise<ImageSummary[]> => JSON.parse((await cli(['images', '--json'])).stdout);
const inspect = async (name: string): Promise<ImageDetail> =>
  JSON.parse((await cli(['inspect', name])).stdout);

beforeAll(async () => {
  config = await ownStoreConfig();
  directory = await mkdtemp(join(tmpdir(), 'oncebox-cli-e2e-'));
  platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
  const archive = await muslImageArchive();
  expect(await cli(['import', '-t', 'musl', archive])).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
  await rm(directory, { recursive: true });
});

test('an imported image runs as its configuration says', async () => {
  const { code, stdout } = await cli(['run', 'musl']);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `from the image: hello from musl\n${muslImageConfig.WorkingDir}\n${muslImageUser.uid}\n`,
  });
});

test('arguments, entrypoint, user, directory, variables and input are ours to choose', async () => {
  const options = ['--entrypoint', '/bin/sh', '-u', '7:8', '-w', '/tmp', '-e', 'A=b'];
  const script = 'id -u; id -g; pwd; echo $A; cat; exit 3';
  const { code, stdout } = await cli(['run', ...options, 'musl', '-c', script], { stdin: 'piped' });
  expect({ code, stdout }).toEqual({ code: 3, stdout: '7\n8\n/tmp\nb\npiped' });
});

test('what a program changed is listed, and its files are fetched', async () => {
  const script = 'echo hi >/tmp/new; rm /etc/group';
  const argv = ['run', '--json', '--keep-files', '-u', 'root', 'musl', script];
  const { id } = JSON.parse((await cli(argv)).stdout);
  const lines = (await cli(['diff', id])).stdout;
  expect(lines).toContain('A /tmp/new  3 B\n');
  expect(lines).toContain('D /etc/group\n');
  const tar = join(directory, 'files.tar');
  expect((await cli(['diff', id, '--output', tar])).code).toBe(0);
  const paths: string[] = [];
  await list({ file: tar, onReadEntry: (entry) => paths.push(entry.path.replace(/^\.?\//, '')) });
  expect(paths).toContain('tmp/new');
});

test('a program runs by its extension, and ends as it did', async () => {
  const file = join(directory, 'main.py');
  await writeFile(file, 'import sys; print(sys.argv[1], sys.stdin.read()); sys.exit(9)');
  expect(await cli(['run', file, 'x'], { stdin: 'y' })).toMatchObject({ code: 9, stdout: 'x y\n' });
});

test('an image is built on another, tagged, pushed, removed and pulled, and its digest stays', async () => {
  await writeFile(
    join(directory, 'Dockerfile'),
    'FROM localhost/musl:latest\nARG WHO=nobody\nUSER root\nRUN mkdir /opt && echo built for $WHO >/opt/file\nCOPY data /opt/data\nENTRYPOINT ["/bin/cat"]\nCMD ["/opt/file", "/opt/data"]\n',
  );
  await writeFile(join(directory, 'data'), 'data\n');
  const built = await cli(['build', '-t', 'built', '--build-arg', 'WHO=you', directory]);
  expect(built).toMatchObject({ code: 0, stdout: expect.stringMatching(/^localhost\/built:latest sha256:/) });
  expect(await cli(['run', 'built'])).toMatchObject({ code: 0, stdout: 'built for you\ndata\n' });
  const { digest } = await inspect('built');

  const remote = `${registry.host()}/team/app:1`;
  expect(await cli(['push', '--insecure', 'built', remote])).toMatchObject({ code: 0 });
  expect(await cli(['rm', '--force', 'built'])).toMatchObject({ code: 0 });
  expect((await cli(['run', 'built'])).code).toBe(125);
  expect(await cli(['pull', '--insecure', remote])).toMatchObject({ code: 0 });
  expect((await inspect(remote)).digest).toBe(digest);
  expect(await cli(['tag', remote, 'pulled'])).toMatchObject({ code: 0, stdout: '' });
  expect(await cli(['run', 'pulled'])).toEqual({ code: 0, stdout: 'built for you\ndata\n', stderr: '' });
  expect(await cli(['rm', '--force', remote])).toMatchObject({ code: 0 });
});

test('sizes say what images share: a tag shares all, and adds nothing', async () => {
  await cli(['tag', 'musl', 'musl:again']);
  const again = (await images()).find(({ reference }) => reference === 'localhost/musl:again');
  expect(again).toMatchObject({ layers: 1, uniqueBytes: expect.any(Number) });
  expect(again?.sizeBytes).toBe((again?.sharedBytes ?? 0) + (again?.uniqueBytes ?? 0));
  expect((await cli(['history', 'musl'])).stdout).toMatch(/^LAYER .*\n[a-f0-9]{12} /);
  expect((await cli(['df'])).stdout).toMatch(/^images +\d+ /m);
});

test('an image that is not there is a clear refusal', async () => {
  expect(await cli(['run', 'no-such-image'])).toMatchObject({
    code: 125,
    stderr: expect.stringContaining('no-such-image'),
  });
});
