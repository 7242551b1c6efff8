import { once } from 'node:events';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { InvocationEvent } from '../../sdk/contract/events.ts';
import type { RunRequest } from '../../sdk/contract/run-request.ts';
import { createLanguageCatalogue } from '../../services/languages/installed-languages.ts';
import type { Language } from '../../services/languages/language.ts';
import { createImageCatalogue } from '../../services/queue/image-catalogue.ts';
import { connectRedis } from '../../services/shared/redis.ts';
import { type GatewayBeside, startGatewayBeside } from '../support/gateway-beside.ts';
import { usePlatform } from '../support/use-platform.ts';

const MiB = 1024 * 1024;
const patient = { wallMs: 600_000 };
const patience = { timeout: 60_000, interval: 25 };
const running = usePlatform();
let gateway: GatewayBeside;
let client: Client;

/** Its compiler does what the lines say that begin with `#compile`, and makes a program of the source. */
const scripted: Language = {
  name: 'scripted',
  version: '1.2.3',
  aliases: ['sc'],
  extensions: ['.sc'],
  fileName: 'main.sc',
  base: 'bash',
  packages: [],
  compile: [
    ...['bash', '-c'],
    'set -e; sed -n "s/^#compile //p" "$1" > /tmp/steps; . /tmp/steps; cp "$1" program; echo "compiled $*"',
    ...['compiler', '{files}'],
  ],
  run: ['./program', '{stem}'],
  env: { FLAVOUR: 'sour' },
  versionCommand: ['bash', '--version'],
  test: { files: {}, stdin: '', stdout: '' },
};

beforeAll(async () => {
  const redis = connectRedis(`unix://${running.config.runDir}/redis.sock`);
  await once(redis, 'ready');
  const catalogue = createImageCatalogue(redis);
  const own = createLanguageCatalogue(catalogue);
  gateway = await startGatewayBeside(running.config, {
    languages: {
      ...own,
      async find(name, range) {
        if (name !== scripted.name) return own.find(name, range);
        return { language: scripted, version: scripted.version, image: await catalogue.resolve('bash') };
      },
    },
  });
  client = createClient(gateway.url);
  return () => redis.disconnect();
});
afterAll(() => gateway.close());

const program = (lines: string[], request: Partial<RunRequest> = {}): RunRequest => ({
  language: 'scripted',
  code: ['#!/bin/bash', ...lines, ''].join('\n'),
  ...request,
});

test('a program is compiled, and run with its input and arguments', async () => {
  const ran = await client.run(
    program(['read -r line', 'echo "$line $* $FLAVOUR $HOME"'], { stdin: 'hello\n', args: ['a b', 'c'] }),
  );
  expect(ran).toMatchObject({
    outcome: { status: 'ok' },
    stdout: 'hello main a b c sour /work\n',
    language: { name: 'scripted', version: '1.2.3' },
    image: { reference: 'localhost/bash:latest' },
    compile: { outcome: { status: 'ok' }, stdout: 'compiled main.sc\n', stderr: '' },
    isolation: 'native',
  });
  expect(ran.timings?.compileMs).toBeGreaterThan(0);
  expect(ran.compile?.usage?.wallMs).toBeGreaterThan(0);
  expect(ran.usage).not.toEqual(ran.compile?.usage);
  expect(await client.invocation(ran.id)).toEqual(ran);
});

test('what the compiler leaves in its working directory is there, byte by byte, and nothing else', async () => {
  const ran = await client.run(
    program(
      [
        '#compile mkdir -p lib/deep empty; head -c 3000000 /dev/urandom > lib/deep/bytes; sha256sum lib/deep/bytes',
        '#compile ln -s deep/bytes lib/link; ln lib/deep/bytes hard; ln -s /etc/passwd out; ln -s ../etc/group up',
        '#compile mkfifo pipe; ln -s self self; touch $HOME/cache "with space"',
        'sha256sum lib/deep/bytes lib/link hard | cut -d" " -f1 | uniq -c',
        'ls -A . /tmp',
      ],
      { files: undefined },
    ),
  );
  const digest = ran.compile?.stdout.slice(0, 64);
  expect(ran.stdout.replace(/^ +/, '')).toBe(
    `3 ${digest}\n.:\nhard\nlib\nmain.sc\nprogram\nwith space\n\n/tmp:\n`,
  );
});

test('what does not compile is not run, and the record says why', async () => {
  const ran = await client.run(program(['#compile echo "line 1: no" >&2; exit 3', 'echo never']));
  expect(ran).toMatchObject({
    status: 'done',
    outcome: { status: 'compile_failed' },
    stdout: '',
    compile: { outcome: { status: 'exited', exitCode: 3 }, stdout: '', stderr: 'line 1: no\n' },
  });
  expect([ran.start, ran.usage, ran.timings?.runMs]).toEqual([undefined, undefined, 0]);
});

const endless = 'while :; do :; done';
const hungry = 'x=$(head -c 200M /dev/zero | tr "\\0" x)';
const slim = { memoryBytes: 32 * MiB, wallMs: 60_000 };

test.each<[string, RunRequest, object, object]>([
  [
    'a compiler that takes too long',
    program([`#compile ${endless}`], { compileLimits: { wallMs: 300 } }),
    { status: 'compile_failed' },
    { status: 'timeout', limit: 'wall', ms: 300 },
  ],
  [
    'a compiler that needs too much memory',
    program([`#compile ${hungry}`], { compileLimits: slim }),
    { status: 'compile_failed' },
    { status: 'oom_killed', memoryMaxBytes: slim.memoryBytes },
  ],
  [
    'a compiler that leaves too much',
    program(['#compile head -c 40M /dev/zero > big']),
    { status: 'compile_failed' },
    { status: 'limit_exceeded', limit: 'disk', max: 32 * MiB },
  ],
  [
    'a program that takes too long',
    program([endless], { limits: { wallMs: 300 } }),
    { status: 'timeout', limit: 'wall', ms: 300 },
    { status: 'ok' },
  ],
  [
    'a program that needs too much memory',
    program([hungry], { limits: slim }),
    { status: 'oom_killed', memoryMaxBytes: slim.memoryBytes },
    { status: 'ok' },
  ],
])('%s is stopped by the caps of its stage', async (_, request, outcome, compiled) => {
  const ran = await client.run(request);
  expect(ran).toMatchObject({ outcome, compile: { outcome: compiled } });
});

/** Stages with what each stream said in them, however many pieces that came in. */
function stagesOf(events: InvocationEvent[]) {
  const stages: { stage: string; stdout: string; stderr: string }[] = [];
  for (const event of events) {
    const last = stages.at(-1);
    if (event.type === 'stage') stages.push({ stage: event.stage, stdout: '', stderr: '' });
    else if (last && (event.type === 'stdout' || event.type === 'stderr')) last[event.type] += event.text;
  }
  return { first: events[0]?.type, stages, last: events.at(-1)?.type };
}

test('events say of which stage they are, while it runs and afterwards', async () => {
  const request = program(['#compile echo building; echo careful >&2', 'echo built']);
  const expected = {
    first: 'started',
    stages: [
      { stage: 'compile', stdout: 'building\ncompiled main.sc\n', stderr: 'careful\n' },
      { stage: 'run', stdout: 'built\n', stderr: '' },
    ],
    last: 'end',
  };
  const live: InvocationEvent[] = [];
  for await (const event of client.runEvents(request)) live.push(event);
  expect(stagesOf(live)).toEqual(expected);

  const { id } = await client.run(request);
  const told: InvocationEvent[] = [];
  for await (const event of client.events(id)) told.push(event);
  expect(stagesOf(told)).toEqual(expected);
});

test.each([
  ['its compiler', ['#compile echo begun; sleep 500']],
  ['its program', ['echo begun; sleep 500']],
])('it is cancelled while %s runs', async (_, lines) => {
  const { id } = await client.runAsync(program(lines, { limits: patient, compileLimits: patient }));
  await vi.waitFor(async () => {
    const ofIt = (await client.sandboxes()).sandboxes.filter(({ invocationId }) => invocationId === id);
    expect(ofIt).toHaveLength(1);
    expect(await textOf(id)).toContain('begun');
  }, patience);
  await client.cancel(id);
  const ended = await client.wait(id);
  expect(ended.outcome).toEqual({ status: 'cancelled' });
  expect(ended.compile?.outcome.status).toBe(lines[0]?.startsWith('#compile') ? 'cancelled' : 'ok');
});

async function textOf(id: string): Promise<string> {
  return new Response(await client.logs(id)).text();
}

test.each(['runc', 'gvisor'] as const)('both stages are behind %s', async (isolation) => {
  const ran = await client.run(
    program(['echo behind'], { isolation, limits: patient, compileLimits: patient }),
  );
  expect(ran).toMatchObject({ outcome: { status: 'ok' }, stdout: 'behind\n', isolation });
  expect(ran.compile).toMatchObject({ outcome: { status: 'ok' }, start: 'cold' });
});

test('stages that come again and again get sandboxes that are parked', async () => {
  await vi.waitFor(async () => {
    const { start, compile } = await client.run(program(['echo again']));
    expect([compile?.start, start]).toEqual(['warm', 'warm']);
  }, patience);
});

test('a language of a base image is run by its own interpreter, from its pool', async () => {
  const ran = await client.run({ language: 'py', code: 'import sys; print(sys.argv[1:])', args: ['x'] });
  expect(ran).toMatchObject({ outcome: { status: 'ok' }, stdout: "['x']\n", language: { name: 'python' } });
  expect([ran.compile, ran.image?.reference]).toEqual([undefined, undefined]);
});

test('an unknown language, and a version that there is not, are told so', async () => {
  const refused = (request: RunRequest) => client.run(request).catch((error: unknown) => error);
  expect(await refused({ language: 'klingon', code: '' })).toMatchObject({
    status: 404,
    code: 'language_not_found',
  });
  expect(await refused({ language: 'python', version: '1.x', code: '' })).toMatchObject({ status: 404 });
  expect(await refused({ language: 'python', runtime: 'python', code: '' })).toMatchObject({
    status: 400,
    field: 'runtime',
  });
  expect(await refused({ runtime: 'python', compileLimits: {}, code: '' })).toMatchObject({
    status: 400,
    field: 'compileLimits',
  });
});
