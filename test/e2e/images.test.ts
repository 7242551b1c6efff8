import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { create, Parser, type ReadEntry } from 'tar';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { ImageEvent } from '../../sdk/contract/image.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { gate } from '../support/gateway.ts';
import { heard } from '../support/heard.ts';
import { muslImageArchive, muslImageUser } from '../support/musl-image.ts';
import { muslNodeArchive, whyNoMuslNode } from '../support/musl-node-image.ts';
import { leftovers, mountCount, ownStoreConfig } from '../support/platform.ts';
import { useRegistry } from '../support/registry.ts';

const registry = useRegistry();
const patience = { timeout: 60_000 };
const configs: Config[] = [];
const platforms: Platform[] = [];
let mounts: number;
let client: Client;
/** Another platform: its own Redis, its own store. */
let elsewhere: Client;

async function startOne(): Promise<Client> {
  const config = await ownStoreConfig();
  configs.push(config);
  const platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
  platforms.push(platform);
  return createClient(platform.url);
}
beforeAll(async () => {
  mounts = await mountCount();
  client = await startOne();
  elsewhere = await startOne();
});
afterAll(async () => {
  for (const platform of platforms) await platform.close();
  for (const { ONCEBOX_DATA_DIR } of configs) await rm(ONCEBOX_DATA_DIR, { recursive: true, force: true });
});

const nameOf = (name: string) => `${registry.host()}/team/${name}`;

describe('an image from a registry', () => {
  let digest: string;

  beforeAll(async () => {
    const pushed = await client.pushImage({ source: 'python', target: nameOf('debian:1'), insecure: true });
    const events: ImageEvent[] = [];
    const pulled = await elsewhere.pullImage(
      { reference: nameOf('debian:1'), insecure: true },
      { onEvent: (event) => events.push(event) },
    );
    expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['step', 'done']));
    expect(pulled.digest).toBe(pushed.digest);
    digest = pulled.digest;
  });

  test('is listed with what it shares', async () => {
    const images = await elsewhere.images();
    const debian = images.find(({ reference }) => reference === nameOf('debian:1'));
    expect(debian).toMatchObject({ digest, uniqueBytes: 0 });
    expect(debian?.sharedBytes, 'python has the same layer').toBe(debian?.sizeBytes);
  });

  test('runs its command with the environment, directory and user of a container', async () => {
    const script = 'echo "$0 $(id -u) $(pwd) $HOME $A"; cat in.txt';
    const { outcome, stdout, image } = await elsewhere.run({
      image: nameOf('debian:1'),
      entrypoint: ['/bin/sh', '-c'],
      args: [script],
      env: { A: 'b' },
      workdir: '/srv',
      files: [{ path: 'in.txt', content: 'hello\n' }],
    });
    expect({ outcome, stdout }).toEqual({
      outcome: { status: 'ok' },
      stdout: '/bin/sh 0 /srv /root b\nhello\n',
    });
    expect(image).toEqual({ reference: nameOf('debian:1'), digest });
  });

  test('runs code in its own interpreter', async () => {
    const { outcome, stdout } = await elsewhere.run({
      image: nameOf('debian:1'),
      runtime: 'python',
      code: 'print(6 * 7)',
    });
    expect({ outcome, stdout }).toEqual({ outcome: { status: 'ok' }, stdout: '42\n' });
  });

  test('that has not the interpreter is told so', async () => {
    const { outcome } = await elsewhere.run({ image: nameOf('debian:1'), runtime: 'node', code: '1' });
    expect(outcome).toMatchObject({ status: 'lost', reason: expect.stringContaining('cannot start "node"') });
  });

  test('shows its size in the list of sandboxes, and cannot go while they stand on it', async () => {
    await elsewhere.tagImage(nameOf('debian:1'), 'mine:1');
    await elsewhere.tagImage(nameOf('debian:1'), 'mine:2');
    expect((await elsewhere.removeImage('mine:2')).untagged).toEqual(['localhost/mine:2']);
    const { id } = await elsewhere.runAsync({
      image: 'mine:1',
      args: ['/bin/sleep', '1000'],
      limits: { wallMs: 600_000 },
    });
    const { virtualBytes, writableBytes, image } = await vi.waitFor(async () => {
      const { sandboxes } = await elsewhere.sandboxes();
      const mine = sandboxes.find(({ invocationId }) => invocationId === id);
      if (!mine) throw new Error('it does not run yet');
      return mine;
    }, patience);
    expect(virtualBytes - writableBytes).toBe((await elsewhere.inspectImage('mine:1')).sizeBytes);
    expect(image?.digest).toBe(digest);
    await elsewhere.cancel(id);
  });
});

test('an image that sandboxes stand on is removed by force only, once they are gone', async () => {
  const base = await client.inspectImage('node');
  await client.deploy('made', {
    runtime: 'node',
    handler: 'index.handler',
    env: { MADE: 'here' },
    files: [{ path: 'index.mjs', content: 'export const handler = () => process.env.MADE' }],
  });
  // A version is an image: pushed and pulled, it is one more image here.
  await client.pushFunction('made', { target: nameOf('made:1'), insecure: true });
  await client.deleteFunction('made');
  const { digest, layers } = await client.pullImage({ reference: nameOf('made:1'), insecure: true });
  expect(layers).toBe(base.layers + 1);

  const run = (code: string) => client.run({ image: nameOf('made:1'), runtime: 'node', code });
  expect((await run('console.log(process.env.MADE)')).stdout).toBe('here\n');
  const { opened, open } = gate();
  onTestFinished(open);
  async function* told() {
    await opened;
    yield 'end';
  }
  const slow = await client.runInteractive(
    {
      ...{ image: nameOf('made:1'), runtime: 'node', limits: { wallMs: 600_000 } },
      code: 'process.stdin.resume().on("end", () => console.log("done"))',
    },
    { stdin: told() },
  );
  const ended = (async () => {
    for await (const event of slow.events) if (event.type === 'end') return event.invocation.stdout;
    return undefined;
  })();
  ended.catch(() => {});
  await vi.waitFor(
    async () =>
      expect((await client.sandboxes()).sandboxes).toContainEqual(
        expect.objectContaining({ invocationId: slow.id, state: 'running' }),
      ),
    patience,
  );
  await expect(client.removeImage(digest)).rejects.toMatchObject({ status: 409, code: 'image_in_use' });
  const removing = client.removeImage(digest, { force: true });
  removing.catch(() => {});
  // What comes meanwhile is refused.
  await vi.waitFor(async () => expect((await run('1')).outcome?.status).toBe('lost'), patience);
  open();
  expect((await removing).deleted).toEqual([digest]);
  expect(await ended, 'what ran was waited for').toBe('done\n');
  await expect(run('1')).rejects.toMatchObject({ status: 404, code: 'image_not_found' });
  expect((await client.run({ runtime: 'node', code: 'console.log(1)' })).stdout, 'its base stays').toBe(
    '1\n',
  );
});

test('an imported image of musl and BusyBox runs by its whole configuration', {
  timeout: 180_000,
}, async () => {
  const archive = createReadStream(await muslImageArchive());
  const { reference } = await client.importImage(archive, { reference: 'busybox:musl' });
  expect(reference).toBe('localhost/busybox:musl');
  const { stdout, outcome } = await client.run({ image: 'busybox:musl', env: { GREETING: 'hello' } });
  expect({ stdout, outcome }).toEqual({
    stdout: `from the image: hello\n/srv/app\n${muslImageUser.uid}\n`,
    outcome: { status: 'ok' },
  });
  const asRoot = await client.run({ image: 'busybox:musl', args: ['id -u; echo $HOME'], user: 'root' });
  expect(asRoot.stdout).toBe('0\n/root\n');
  const nobody = await client.run({ image: 'busybox:musl', user: 'nobody-here' });
  expect(nobody.outcome).toMatchObject({ status: 'lost', reason: expect.stringContaining('nobody-here') });
});

const noNode = await whyNoMuslNode();
test.runIf(noNode === undefined || process.env.ONCEBOX_MUST_WORK === '1')(
  `an image with a node of its own gets a zygote of its own${noNode ? ` (${noNode})` : ''}`,
  { timeout: 180_000 },
  async () => {
    await client.importImage(createReadStream(await muslNodeArchive()), { reference: 'node:musl' });
    const run = () =>
      client.run({
        image: 'node:musl',
        runtime: 'node',
        code: 'console.log(process.version, process.report.getReport().header.glibcVersionRuntime)',
      });
    const first = await run();
    expect(first).toMatchObject({ outcome: { status: 'ok' }, start: 'cold', stderr: '' });
    expect(first.stdout).toMatch(/^v\d+\.\d+\.\d+ undefined\n$/);
    await vi.waitFor(async () => expect((await run()).start).toBe('warm'), patience);
    const { digest } = await client.inspectImage('node:musl');
    await client.removeImage(digest, { force: true });
    expect((await client.sandboxes()).sandboxes.filter(({ image }) => image.digest === digest)).toEqual([]);
  },
);

test('an image is built from a context, tells what its steps print, and runs', {
  timeout: 180_000,
}, async () => {
  const context = await mkdtemp(join(tmpdir(), 'oncebox-context-'));
  onTestFinished(() => rm(context, { recursive: true }));
  const dockerfile = [
    'FROM localhost/python',
    'ARG WORD',
    'COPY greet.sh /opt/greet.sh',
    'COPY heard.py /opt/heard.py',
    // Buildah may not read what a RUN printed right before its end (see untilHeard in test/image/builds.ts).
    'RUN echo "step says $WORD" && echo "$WORD" > /opt/word && python3 /opt/heard.py',
    'WORKDIR /opt',
    'ENTRYPOINT ["/bin/sh", "/opt/greet.sh"]',
    'CMD ["world"]',
  ];
  await writeFile(join(context, 'Dockerfile'), `${dockerfile.join('\n')}\n`);
  await writeFile(join(context, 'greet.sh'), 'echo "$(cat word) $1"\n');
  await writeFile(join(context, 'heard.py'), `${heard}heard(1)\n`);
  const lines: string[] = [];
  const built = await client.buildImage(Readable.from(create({ cwd: context }, ['.'])), {
    reference: 'greet:1',
    args: { WORD: 'hello' },
    onEvent: (event) => {
      if (event.type === 'output') lines.push(event.line);
    },
  });
  expect(built.reference).toBe('localhost/greet:1');
  expect(lines).toContainEqual(expect.stringContaining('step says hello'));
  expect((await client.run({ image: 'greet:1' })).stdout).toBe('hello world\n');
  expect((await client.run({ image: 'greet:1', args: ['you'] })).stdout).toBe('hello you\n');
});

describe('a function version is an image', () => {
  const files = [
    { path: 'index.mjs', content: 'export const handler = (event) => ({ ...event, by: process.env.NAME });' },
  ];
  const request = { runtime: 'node' as const, handler: 'index.handler', env: { NAME: 'version' }, files };

  test('the same deploy on two platforms has the same digest', async () => {
    const [here, there] = await Promise.all([
      client.deploy('same', request),
      elsewhere.deploy('same', request),
    ]);
    expect(there.digest).toBe(here.digest);
    expect(here.image).toMatchObject({ reference: 'localhost/node:latest' });
  });

  test('it is pushed, and another platform runs it from the registry by its digest', async () => {
    const { digest } = await client.deploy('greet', request);
    const pushed = await client.pushFunction('greet', { target: nameOf('greet:1'), insecure: true });
    expect(pushed.digest).toBe(digest);

    const reference = `${nameOf('greet')}@${digest}`;
    await elsewhere.pullImage({ reference, insecure: true });
    const deployed = await elsewhere.deploy('greet', { image: reference });
    expect(deployed).toMatchObject({ digest, runtime: 'node', handler: 'index.handler', image: { digest } });

    const records = [];
    for (const one of [client, elsewhere]) {
      const { result, invocationId } = await one.invoke('greet', { n: 1 });
      expect(result).toEqual({ n: 1, by: 'version' });
      records.push((await one.invocation(invocationId)).image);
    }
    expect(records).toEqual([{ digest }, { digest }]);
  });

  test('an image that a function stands on stays, force or not', async () => {
    const { digest } = await elsewhere.inspectImage('node');
    for (const force of [false, true])
      await expect(elsewhere.removeImage(digest, { force })).rejects.toMatchObject({ code: 'image_in_use' });
    const { image } = await elsewhere
      .getFunction('greet')
      .then(({ versions }) => versions[0] ?? { image: undefined });
    await expect(elsewhere.removeImage(image?.digest ?? '')).rejects.toMatchObject({ code: 'image_in_use' });
  });

  test('a name that is given to another image does not change what stands on the one before', async () => {
    await client.tagImage('node', 'mine:1');
    await client.deploy('pinned', { ...request, image: 'mine:1' });
    const before = (await client.getFunction('pinned')).versions[0];
    await client.tagImage('python', 'mine:1');
    expect((await client.getFunction('pinned')).versions[0]).toEqual(before);
    expect((await client.invoke('pinned', { n: 2 })).result).toEqual({ n: 2, by: 'version' });
    const other = await client.deploy('pinned-too', { ...request, image: 'mine:1' });
    expect(other.digest, 'a new deploy stands on the new one').not.toBe(before?.digest);
  });

  test("the names of the base images are the platform's own", async () => {
    for (const change of [
      () => client.tagImage('python', 'node'),
      () => client.removeImage('node', { force: true }),
    ])
      await expect(change()).rejects.toMatchObject({ status: 409, code: 'image_in_use' });
    expect((await client.run({ runtime: 'node', code: 'console.log(1)' })).stdout).toBe('1\n');
  });

  test('an image without the labels is no version', async () => {
    await expect(client.deploy('none', { image: 'python' })).rejects.toMatchObject({
      status: 400,
      field: 'image',
    });
  });
});

describe('the diff of an invocation', () => {
  const code = 'echo hello > out.txt; mkdir -p /tmp/d; echo x >> /etc/hostname || true; ls /work';

  test('lists what the program left, with sizes and hashes', async () => {
    const { changes, files, diffError } = await client.run({ runtime: 'bash', code, diff: true });
    expect([files, diffError]).toEqual([undefined, undefined]);
    expect(changes).toContainEqual({
      kind: 'added',
      path: '/work/out.txt',
      type: 'file',
      sizeBytes: 6,
      sha256: '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',
    });
    const { id } = await client.run({ runtime: 'bash', code });
    expect(await client.invocation(id)).not.toHaveProperty('changes');
  });

  test('tells what a command deleted and changed in its image', async () => {
    const { changes } = await elsewhere.run({
      image: 'python',
      entrypoint: ['/bin/sh', '-c', 'rm /etc/debian_version; echo "# more" >> /etc/passwd'],
      diff: true,
    });
    expect(changes).toContainEqual({
      kind: 'deleted',
      path: '/etc/debian_version',
      type: 'other',
      sizeBytes: 0,
    });
    expect(changes).toContainEqual(
      expect.objectContaining({ kind: 'changed', path: '/etc/passwd', type: 'file' }),
    );
  });

  test('keeps the files where asked, as a tar', async () => {
    const { id, files } = await client.run({ runtime: 'bash', code, diff: 'archive' });
    expect(files?.sizeBytes).toBeGreaterThan(0);
    const contents = new Map<string, Promise<string>>();
    const parser = new Parser({
      strict: true,
      onReadEntry: (entry: ReadEntry) => contents.set(entry.path, text(entry)),
    });
    for await (const chunk of await client.invocationFiles(id)) parser.write(Buffer.from(chunk));
    parser.end();
    expect(await contents.get('work/out.txt')).toBe('hello\n');
  });
});

test('at the end the host is as before', async () => {
  for (const platform of platforms) await platform.close();
  for (const config of configs) expect(await leftovers(config)).toEqual({ processes: [], cgroups: [] });
  expect(await mountCount()).toBe(mounts);
});
