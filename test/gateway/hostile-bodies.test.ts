import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { errorBodySchema } from '../../sdk/contract/error.ts';
import { limitTable } from '../../sdk/contract/limits.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { type CodeFile, packCodeLayer } from '../../services/registry/code-layer.ts';
import { finished, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

/** Requests that are HTTP and mean harm. What is refused is refused before anything is enqueued. */
const redis = useRedis();
const gateway = useGateway(redis);
const run = { runtime: 'node', code: '' };

async function refusal(response: Response | Promise<Response>) {
  const { status, ...rest } = await Promise.resolve(response).then(async (one) => ({
    status: one.status,
    body: await one.json(),
  }));
  const { code, field } = errorBodySchema.parse(rest.body).error;
  return { status, code, field };
}
const invalid = (field: string) => ({ status: 400, code: 'invalid_request', field });
const deploy = (body: unknown) =>
  gateway.postJson(
    '/v1/functions/f',
    { runtime: 'node', handler: 'index.handler', ...(body as object) },
    { method: 'PUT' },
  );

test.each(Object.entries(limitTable))(
  'a %s that is no finite number in range is refused by its name',
  async (name, range) => {
    const json = (text: string) => `{"runtime":"node","code":"","limits":{"${name}":${text}}}`;
    const wrong = [
      ...[
        '-1',
        '-0.5',
        '1e999',
        '-1e999',
        '18014398509481984',
        `${range.max + 1}`,
        '"1"',
        '"NaN"',
        'null',
        'true',
      ],
      ...['[1]', '{}', ...(range.min > 0 ? ['0', `${range.min / 2}`] : [])],
      ...(name === 'cpus' ? [] : [`${range.defaultValue}.5`]),
    ];
    for (const text of wrong)
      expect(await refusal(gateway.postJson('/v1/run', json(text))), text).toEqual(invalid(`limits.${name}`));
    for (const text of ['NaN', 'Infinity', '0x10', '+1', '.5'])
      expect(await refusal(gateway.postJson('/v1/run', json(text))), text).toEqual(invalid('body'));
    const headers = { prefer: 'respond-async' };
    for (const value of [range.min, range.max])
      expect((await gateway.postJson('/v1/run', json(`${value}`), { headers })).status).toBe(202);
  },
);

test('JSON that nests too deep is a 400, at once and without a stack overflow', async () => {
  for (const deep of [
    '['.repeat(60_000),
    '{"a":'.repeat(12_000),
    '[{"":'.repeat(12_000),
    `"${'\\"['.repeat(9)}",${'['.repeat(101)}`,
  ]) {
    expect(await refusal(gateway.postJson('/v1/run', deep))).toEqual(invalid('body'));
    expect(await refusal(gateway.postJson('/v1/functions/f', deep, { method: 'PUT' }))).toEqual(
      invalid('body'),
    );
  }
  const fits = { ...run, stdin: '['.repeat(200) };
  expect((await gateway.postJson('/v1/run', fits, { headers: { prefer: 'respond-async' } })).status).toBe(
    202,
  );
});

test('a body that is too large is a 413', async () => {
  expect(await refusal(gateway.postJson('/v1/run', { ...run, code: 'a'.repeat(70_000) }))).toMatchObject({
    status: 413,
    code: 'body_too_large',
  });
  expect(
    (
      await gateway.postJson(
        '/v1/run',
        { ...run, code: 'a'.repeat(60_000) },
        { headers: { prefer: 'respond-async' } },
      )
    ).status,
  ).toBe(202);
});

test('bytes that are not UTF-8 are refused, and so is half of a surrogate pair', async () => {
  const post = (body: string | Buffer<ArrayBuffer>) =>
    gateway.app.request('/v1/run', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
  expect(await refusal(post(Buffer.from(Buffer.from('{"runtime":"node","code":"\xff"}', 'latin1'))))).toEqual(
    invalid('body'),
  );
  for (const half of ['\\ud800', '\\uDFFF', 'a\\ud83dz', '\\\\\\ud800'])
    expect(await refusal(post(`{"runtime":"node","code":"${half}"}`)), half).toEqual(invalid('body'));
  for (const path of ['\\ud800', '\\udc01'])
    expect(
      await refusal(
        deploy(JSON.parse(`{"files":[{"path":"index.js","content":""},{"path":"${path}","content":""}]}`)),
      ),
    ).toEqual(invalid('body'));
  const headers = { prefer: 'respond-async' };
  for (const whole of ['\\ud83d\\ude00', '\\\\ud800', '\\\\\\\\ud800', '\u{1f600}'])
    expect(
      (await gateway.postJson('/v1/run', `{"runtime":"node","code":"${whole}"}`, { headers })).status,
      whole,
    ).toBe(202);
});

test('keys of prototypes are names like any other, or none: nothing is polluted', async () => {
  const before = Object.getOwnPropertyNames(Object.prototype);
  const seen: unknown[] = [];
  await gateway.startWorker(async (job) => {
    seen.push(job.data.program.env);
    return finished(job);
  });
  const limits = '{"__proto__":{"wallMs":1}}';
  expect(
    await refusal(gateway.postJson('/v1/run', `{"runtime":"node","code":"","limits":${limits}}`)),
  ).toEqual(invalid('limits.__proto__'));
  expect(
    await refusal(gateway.postJson('/v1/run', '{"runtime":"node","code":"","limits":{"constructor":1}}')),
  ).toEqual(invalid('limits.constructor'));
  expect(
    await refusal(gateway.postJson('/v1/run', '{"runtime":"node","code":"","__proto__":{"admin":1}}')),
  ).toEqual(invalid('__proto__'));
  expect(
    await refusal(
      gateway.postJson('/v1/run', '{"runtime":"node","files":[{"path":"a","__proto__":{"content":"x"}}]}'),
    ),
  ).toMatchObject({ status: 400 });
  const env = '{"constructor":"b","toString":"c","hasOwnProperty":"d"}';
  expect((await gateway.postJson('/v1/run', `{"runtime":"node","code":"","env":${env}}`)).status).toBe(200);
  expect(seen).toEqual([{ constructor: 'b', toString: 'c', hasOwnProperty: 'd' }]);
  const files = ['__proto__', 'constructor', 'toString/valueOf'].map((path) => ({ path, content: '1' }));
  expect((await gateway.postJson('/v1/run', { runtime: 'node', files })).status).toBe(200);
  for (const name of ['__proto__', 'constructor', 'toString'])
    expect((await gateway.app.request(`/v1/functions/${name}`)).status, name).toBe(404);
  expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  expect(({} as Record<string, unknown>).admin).toBeUndefined();
});

test.each([
  '../x',
  'a/../../x',
  '/etc/passwd',
  '/proc/self/root/x',
  '..',
  '.',
  '',
  'a//b',
  'a/',
  '/',
  './a',
  'a/./b',
  'a\\..\\b',
  'a\0b',
  'a\nb',
  'a\rb',
  '\x1b[2J',
  'a'.repeat(256),
  'é'.repeat(128),
  'a/'.repeat(2_048),
  'x'.repeat(4_096),
])('the file name %j is refused wherever it is given', async (path) => {
  const file = { path, content: '' };
  expect(await refusal(gateway.postJson('/v1/run', { runtime: 'node', files: [file] }))).toEqual(
    invalid('files.0.path'),
  );
  expect(await refusal(deploy({ files: [{ path: 'index.js', content: '' }, file] }))).toEqual(
    invalid('files.1.path'),
  );
  expect(
    await refusal(
      gateway.postJson('/v1/run', { runtime: 'node', files: [{ path: 'a', content: '' }], entry: path }),
    ),
  ).toEqual(invalid('entry'));
});

test('names that only look strange are taken', async () => {
  const paths = ['...', 'a b', '-rf', 'é'.repeat(127), 'proc/self/root', '%2e%2e/x', '~', '$(id)', '*'];
  const files = paths.map((path) => ({ path, content: '' }));
  expect(
    (await gateway.postJson('/v1/run', { runtime: 'node', files }, { headers: { prefer: 'respond-async' } }))
      .status,
  ).toBe(202);
});

test('a path given twice, or as a file and as a directory, is refused', async () => {
  const clash = (...paths: string[]) =>
    gateway.postJson('/v1/run', { runtime: 'node', files: paths.map((path) => ({ path, content: '' })) });
  expect(await refusal(clash('a', 'b', 'a'))).toEqual(invalid('files.2.path'));
  expect(await refusal(clash('a', 'a/b'))).toEqual(invalid('files.0.path'));
  expect(await refusal(clash('a/b/c', 'a/b'))).toEqual(invalid('files.1.path'));
});

test('names of variables that no shell could set, and values with NUL, are refused', async () => {
  for (const name of ['', 'A=B', 'a b', 'A\0', '1A', 'é', 'A'.repeat(257)])
    expect((await refusal(gateway.postJson('/v1/run', { ...run, env: { [name]: '' } }))).field, name).toBe(
      `env.${name}`,
    );
  expect(await refusal(gateway.postJson('/v1/run', { ...run, env: { A: 'a\0b' } }))).toEqual(
    invalid('env.A'),
  );
});

test('bundles that unpack to too much, or to what is outside, are refused, and with little work', async () => {
  const put = (body: Uint8Array) =>
    gateway.app.request('/v1/functions/f?runtime=node&handler=index.handler', {
      method: 'PUT',
      headers: { 'content-type': 'application/gzip' },
      body: new Uint8Array(body),
    });
  const tarOf = (files: CodeFile[]) => packCodeLayer(files).tar;
  const index = { path: 'index.js', data: Buffer.from('exports.handler = () => 1') };
  // A header that says more than there is: nothing of that size is made.
  const liar = Buffer.from(tarOf([index]));
  liar.write('77777777777', 512 + 124, 'latin1');
  const bundles = [
    // 60 MB of zeros, a thousandfold: more than five times the largest body.
    gzipSync(Buffer.alloc(60_000_000)),
    gzipSync(tarOf([index, { path: 'zeros', data: Buffer.alloc(20_000_000) }])),
    gzipSync(liar),
    // Gzip in gzip: the inner one is not opened.
    gzipSync(gzipSync(tarOf([index]))),
    randomBytes(2_000),
  ];
  const before = process.cpuUsage();
  for (const bundle of bundles) expect(await refusal(put(bundle))).toEqual(invalid('body'));
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(5);
});

test("an id that is not one's own is not found, and none can be guessed", async () => {
  const { id } = (await (
    await gateway.postJson('/v1/run', run, { headers: { prefer: 'respond-async' } })
  ).json()) as { id: string };
  const read = async (guess: string) =>
    (await gateway.app.request(`/v1/invocations/${encodeURIComponent(guess)}`)).status;
  expect(await read(id)).toBe(200);
  const last = id.at(-1) === 'a' ? 'b' : 'a';
  for (const guess of [
    newInvocationId(),
    id.slice(0, -1) + last,
    id.slice(0, -1),
    `${id}a`,
    id.toUpperCase(),
    '1',
    '*',
    '../1',
    `${id}\n`,
    '%00',
  ])
    expect(await read(guess), guess).toBe(404);
  // 128 random bits: among 20,000 ids each of them is a coin's toss, and none repeats.
  const ids = Array.from({ length: 20_000 }, newInvocationId);
  expect(new Set(ids).size).toBe(ids.length);
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  for (let bit = 0; bit < 128; bit++) {
    const [char, at] = [4 + Math.floor(bit / 5), 4 - (bit % 5)];
    const ones = ids.filter((one) => ((alphabet.indexOf(one[char] as string) >> at) & 1) === 1).length;
    expect(Math.abs(ones / ids.length - 0.5), `bit ${bit}`).toBeLessThan(0.03);
  }
});

test.each([
  ['env.__proto__', '{"runtime":"node","code":"","env":{"A":"x","__proto__":"y"}}'],
  ['__proto__', '{"runtime":"node","code":"","\\u005f_proto__":{"polluted":true}}'],
  ['files.0.__proto__', '{"runtime":"node","files":[{"path":"index.js","content":"","__proto__":{}}]}'],
])('a field %s is refused by its path, and not dropped', async (field, body) => {
  expect(await refusal(gateway.postJson('/v1/run', body))).toEqual(invalid(field));
  expect(await gateway.queue.waiting()).toBe(0);
});

test('in events a field of any name is data, and arrives', async () => {
  await gateway.startWorker(async (job) => {
    const { program } = job.data;
    return finished(job, {
      outcome: { status: 'ok', result: program.kind === 'handler' ? program.eventJson : null },
    });
  });
  const files = [{ path: 'index.mjs', content: 'export const handler = (e) => e' }];
  expect((await deploy({ files })).status).toBe(201);
  const event = '{"__proto__":{"a":1},"b":{"__proto__":2}}';
  expect(await (await gateway.postJson('/v1/functions/f/invoke', event)).json()).toBe(event);

  const batch = await gateway.postJson('/v1/functions/f/batch', `{"events":[${event}]}`);
  const [{ id = '' } = {}] = ((await batch.json()) as { invocations: { id?: string }[] }).invocations;
  await expect
    .poll(async () => (await gateway.queue.get(id))?.outcome)
    .toEqual({ status: 'ok', result: event });
  expect(await refusal(gateway.postJson('/v1/functions/f/batch', '{"events":[1],"__proto__":1}'))).toEqual(
    invalid('__proto__'),
  );

  const schedule = `{"function":"f","cron":"0 3 * * *","event":${event}}`;
  expect((await gateway.postJson('/v1/schedules/nightly', schedule, { method: 'PUT' })).status).toBe(201);
  const kept = await (await gateway.app.request('/v1/schedules/nightly')).text();
  expect(kept).toContain(`"event":${event}`);
});
