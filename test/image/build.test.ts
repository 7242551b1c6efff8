import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { untilHeard, useBuilds } from './builds.ts';
import { makeTar } from './make-tar.ts';

const builds = useBuilds();
const unreadable = 'cannot read the build context';
const hello = { path: 'hello', data: 'hello from the context\n' };

describe('a build', () => {
  it('honours every instruction', async () => {
    const dockerfile = `
      FROM bash
      ARG GREETING=none
      ARG KEPT=default
      ENV WHO=world MOOD=good
      LABEL dev.example.a="1" dev.example.b=two
      WORKDIR /srv/app
      COPY hello docs/
      RUN echo "$GREETING $WHO $KEPT" > greeting && pwd > place && id -u > user
      RUN useradd --uid 1234 ann 2>/dev/null || echo 'ann:x:1234:1234::/:/bin/sh' >> /etc/passwd
      RUN mkdir /data && chown 1234:1234 /data
      SHELL ["/bin/bash", "-c"]
      RUN [[ $0 == /bin/bash ]] && echo $0 > shell
      USER ann
      RUN id -u > /data/user
      ENTRYPOINT ["/bin/cat"]
      CMD ["greeting"]
    `.replaceAll(/^ {6}/gm, '');
    const { image, lines } = await builds.build(dockerfile, {
      files: [hello],
      query: { args: JSON.stringify({ GREETING: 'good morning,' }) },
    });
    expect(image.reference).toBe('localhost/built:latest');
    expect(image.config).toMatchObject({
      User: 'ann',
      WorkingDir: '/srv/app',
      Entrypoint: ['/bin/cat'],
      Cmd: ['greeting'],
      Labels: { 'dev.example.a': '1', 'dev.example.b': 'two' },
    });
    expect(image.config.Env).toEqual(expect.arrayContaining(['WHO=world', 'MOOD=good']));
    expect(await builds.read(image, 'srv/app/docs/hello')).toBe(hello.data);
    expect(await builds.read(image, 'srv/app/greeting')).toBe('good morning, world default\n');
    expect(await builds.read(image, 'srv/app/place')).toBe('/srv/app\n');
    expect(await builds.read(image, 'srv/app/user')).toBe('0\n');
    expect(await builds.read(image, 'data/user')).toBe('1234\n');
    const [upper] = image.layers;
    const { uid } = await stat(join(builds.store.layersDir, upper as string, 'data/user'));
    expect(uid).toBe(0x7000_0000 + 1234);
    expect(await builds.read(image, 'srv/app/shell')).toBe('/bin/bash\n');
    expect(lines).toContain('STEP 1/16: FROM bash');
    expect(JSON.parse(image.manifestJson).mediaType).toBe('application/vnd.oci.image.manifest.v1+json');
    expect(await builds.store.resolve('built')).toMatchObject({ digest: image.digest });
  });

  it('stands on the very layers of its base, and adds its own', async () => {
    const base = await builds.store.resolve('bash');
    const { image } = await builds.build('FROM bash\nRUN echo one > /one\nRUN rm /one; echo two > /two');
    expect(image.layers.slice(-base.layers.length)).toEqual(base.layers);
    expect(image.layers).toHaveLength(base.layers.length + 2);
    const own = JSON.parse(image.manifestJson).layers;
    expect(own.slice(0, base.layers.length)).toEqual(JSON.parse(base.manifestJson).layers);
    const history = JSON.parse(image.configJson).history.map(
      (entry: { created_by?: string }) => entry.created_by,
    );
    expect(history.slice(-2)).toEqual([
      expect.stringContaining('echo one > /one'),
      expect.stringContaining('echo two > /two'),
    ]);
  });

  it('can be the base of another', async () => {
    await builds.build('FROM bash\nRUN mkdir -p /d/lower && echo 1 > /d/lower/x\nENV A=1', {
      query: { reference: 'first' },
    });
    const { image } = await builds.build(
      'FROM first:latest\nRUN cat /d/lower/x > /seen; rm -r /d; mkdir /d; echo $A >> /seen',
    );
    expect(await builds.read(image, 'seen')).toBe('1\n1\n');
    expect(await builds.build(`FROM localhost/built\nRUN ls -A /d > /left`)).toMatchObject({});
    expect(await builds.read(await builds.store.resolve('built'), 'left')).toBe('');
  });

  it('takes from other stages and other images', async () => {
    await builds.build('FROM scratch\nCOPY hello /from-tool', {
      files: [hello],
      query: { reference: 'tool:1' },
    });
    const { image } = await builds.build(
      'ARG BASE=nowhere\nFROM ${BASE} AS make\nRUN echo made > /made\nFROM make AS unused\nRUN exit 1\n' +
        'FROM scratch\nCOPY --from=make /made /a\nCOPY --from=tool:1 /from-tool /b',
      { query: { args: '{"BASE":"bash"}' } },
    );
    expect(await builds.read(image, 'a')).toBe('made\n');
    expect(await builds.read(image, 'b')).toBe(hello.data);
    expect(image.layers).toHaveLength(2);
  });

  it('ends with the target stage', async () => {
    const { image } = await builds.build('FROM bash AS one\nENV STAGE=one\nFROM nowhere\nENV STAGE=two', {
      query: { target: 'one' },
    });
    expect(image.config.Env).toContain('STAGE=one');
  });

  it('can use a base by digest, and reads a gzipped context with its Dockerfile elsewhere', async () => {
    const { digest } = await builds.store.resolve('bash');
    const tar = makeTar([
      { path: './sub/', type: 'Directory', mode: 0o755 },
      { path: './sub/Build.file', data: `FROM bash@${digest}\nCOPY hello /\n` },
      hello,
    ]);
    const { image } = await builds.build('', {
      context: Readable.from([gzipSync(tar)]),
      query: { dockerfile: 'sub/Build.file' },
    });
    expect(await builds.read(image, 'hello')).toBe(hello.data);
  });

  it('of the same context has the same digest, whenever it is made', async () => {
    const dockerfile =
      'FROM bash\nCOPY hello /srv/\nRUN mkdir /srv/d && echo x > /srv/d/x && chmod 700 /etc/skel\nLABEL a=b';
    const first = await builds.build(dockerfile, { files: [hello] });
    await builds.store.remove('built', { force: false });
    await builds.store.prune();
    const second = await builds.build(dockerfile, { files: [hello] });
    expect(second.image.digest).toBe(first.image.digest);
    const other = await builds.build(dockerfile, { files: [{ ...hello, data: 'other' }] });
    expect(other.image.digest).not.toBe(first.image.digest);
  });

  it('has loopback, shared memory and its own host name', async () => {
    const script =
      'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); s.listen(); socket.create_connection(s.getsockname()); print("connected", socket.gethostname())';
    const { image } = await builds.build(
      `FROM bash\nRUN python3 -c '${script}' > /said && echo kept > /dev/shm/x && cat /dev/shm/x >> /said`,
    );
    expect(await builds.read(image, 'said')).toMatch(/^connected .*\nkept\n$/);
  });

  it('tells each step and every line as it comes', async () => {
    const events: string[] = [];
    const script = `echo one; echo two >&2; echo three > /three; cat /three; ${untilHeard}`;
    await builds.build(`FROM bash\nRUN ${script}`, {
      heard: ['one', 'two', 'three'],
      onEvent: (event) => {
        if (event.type === 'step') events.push(event.step);
        if (event.type === 'output' && /^(one|two|three)$/.test(event.line)) events.push(event.line);
      },
    });
    expect(events.slice(0, 3)).toEqual(['upload', 'resolve', 'build']);
    // Buildah has a pipe for each of a RUN's streams, and what it says of one may come behind the next step.
    expect(events).toEqual(expect.arrayContaining(['one', 'two', 'three', 'unpack']));
  });

  it('that fails says how, with the end of its output, and leaves no image', async () => {
    const lines = 'for i in $(seq 100); do echo line $i; done; echo no such luck >&2';
    const { code, message } = await builds.failure(`FROM bash\nRUN ${lines}; ${untilHeard}; exit 3`, {
      query: { reference: 'failed' },
      heard: ['line 100', 'no such luck'],
    });
    expect(code).toBe('build_failed');
    expect(message).toContain('no such luck');
    expect(message).toContain('exit status 3');
    expect(message).toContain('line 100');
    expect(message).not.toContain('line 50\n');
    await expect(builds.store.resolve('failed')).rejects.toMatchObject({ code: 'image_not_found' });
  });

  it.each<[string, { dockerfile?: string; context?: Buffer }, string, string]>([
    ['a missing Dockerfile', { context: makeTar([hello]) }, 'invalid_request', 'no file "Dockerfile"'],
    ['what is no tar', { context: Buffer.alloc(2048, 'no tar ') }, 'invalid_request', unreadable],
    ['a truncated tar', { context: makeTar([hello]).subarray(0, 520) }, 'invalid_request', unreadable],
    ['a damaged gzip', { context: gzipSync(makeTar([hello])).fill(0, 20) }, 'invalid_request', unreadable],
    ['a Dockerfile without FROM', { dockerfile: 'RUN true' }, 'invalid_request', 'there is no FROM'],
    ['an unknown base', { dockerfile: 'FROM some/one:1' }, 'image_not_found', 'oncebox pull some/one:1'],
    ['an unknown instruction', { dockerfile: 'FROM bash\nFROBNICATE' }, 'build_failed', 'FROBNICATE'],
    ['a place for a name', { dockerfile: 'FROM oci:/build/storage' }, 'invalid_request', '"oci:" is no host'],
    ['an option for a name', { dockerfile: 'FROM --help' }, 'invalid_request', 'names no image'],
    ['a name that climbs', { dockerfile: 'FROM ../../etc' }, 'invalid_request', '../../etc'],
  ])('refuses %s', async (_what, { dockerfile = '', context }, code, words) => {
    const failure = await builds.failure(dockerfile, context ? { context: Readable.from([context]) } : {});
    expect(failure).toMatchObject({ code, message: expect.stringContaining(words) });
  });

  it('leaves nothing behind, however it ended', async () => {
    const before = await builds.census();
    await builds.build('FROM bash\nRUN true');
    await builds.failure('FROM bash\nRUN false');
    expect(await builds.census()).toEqual(before);
    expect(await readdir(join(builds.directory, 'scratch'))).toEqual([]);
  });
});
