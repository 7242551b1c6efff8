import { describe, expect, test } from 'vitest';
import { errorBodySchema } from '../../sdk/contract/error.ts';
import { invocationSchema } from '../../sdk/contract/invocation.ts';
import { limitTable } from '../../sdk/contract/limits.ts';
import type { InvocationJob } from '../../services/queue/job.ts';
import { finished, untilCancelled, useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const gateway = useGateway(redis);

async function refusal(response: Response) {
  const { error } = errorBodySchema.parse(await response.json());
  return { status: response.status, code: error.code, field: error.field, message: error.message };
}

async function runRefused(body: unknown) {
  const refused = await refusal(await gateway.postJson('/v1/run', body));
  expect(await redis.redis.keys('oncebox:invocations:inv_*')).toEqual([]);
  return refused;
}

describe('a run that is taken', () => {
  test('is answered with the record that the worker made', async () => {
    await gateway.startWorker(async (job) => finished(job, { stdout: '2\n' }));
    const response = await gateway.postJson('/v1/run', { runtime: 'node', code: 'console.log(1+1)' });
    expect(response.status).toBe(200);
    const invocation = invocationSchema.parse(await response.json());
    expect(invocation).toMatchObject({ status: 'done', outcome: { status: 'ok' }, stdout: '2\n' });
    expect(response.headers.get('oncebox-invocation-id')).toBe(invocation.id);
    expect(response.headers.get('oncebox-start')).toBe('warm');
    expect(response.headers.get('server-timing')).toMatch(
      /^receive;dur=0.500, queue;dur=1.000, admit;dur=0.000, prepare;dur=0.000, lease;dur=0.500, start;dur=0.250, run;dur=2.000, total;dur=[\d.]+$/,
    );
  });

  test('is a 200 whatever the code did', async () => {
    await gateway.startWorker(async (job) => finished(job, { outcome: { status: 'exited', exitCode: 3 } }));
    const response = await gateway.postJson('/v1/run', { runtime: 'bash', code: 'exit 3' });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ outcome: { status: 'exited', exitCode: 3 } });
  });

  test.each([
    ['node', 'index.js'],
    ['python', 'main.py'],
    ['bash', 'main.sh'],
  ])('%s code becomes the file %s', async (runtime, path) => {
    const jobs: InvocationJob[] = [];
    await gateway.startWorker(async (job) => {
      jobs.push(job.data);
      return finished(job);
    });
    const request = {
      runtime,
      code: 'x',
      args: ['a'],
      stdin: 'in',
      env: { A: 'b' },
      limits: { wallMs: 500 },
    };
    expect((await gateway.postJson('/v1/run', request)).status).toBe(200);
    expect(jobs[0]).toMatchObject({
      runtime,
      stdin: 'in',
      program: {
        kind: 'snippet',
        files: [{ path, content: 'x', encoding: 'utf8' }],
        entry: path,
        args: ['a'],
        env: { A: 'b' },
      },
      limits: { wallMs: 500, pids: limitTable.pids.defaultValue },
    });
  });

  test('the entry of several files is the first unless it is given', async () => {
    const entries: unknown[] = [];
    await gateway.startWorker(async (job) => {
      if (job.data.program.kind === 'snippet') entries.push(job.data.program.entry);
      return finished(job);
    });
    const files = [
      { path: 'a.js', content: '' },
      { path: 'lib/b.js', content: 'AA==', encoding: 'base64' },
    ];
    await gateway.postJson('/v1/run', { runtime: 'node', files });
    await gateway.postJson('/v1/run', { runtime: 'node', files, entry: 'lib/b.js' });
    expect(entries).toEqual(['a.js', 'lib/b.js']);
  });

  test('a job that fails in the worker is answered with the outcome lost', async () => {
    await gateway.startWorker(async () => {
      throw new Error('the zone is gone');
    });
    const response = await gateway.postJson('/v1/run', { runtime: 'node', code: '' });
    expect(await response.json()).toMatchObject({
      status: 'failed',
      outcome: { status: 'lost', reason: 'the zone is gone' },
    });
  });

  test('a caller who leaves cancels it, waiting or running', async () => {
    for (const when of ['before a worker is there', 'while it runs']) {
      const leaving = new AbortController();
      if (when === 'while it runs') {
        await gateway.startWorker((job, cancelled) => {
          leaving.abort();
          return untilCancelled(job, cancelled);
        });
      }
      const request = new Request('http://localhost/v1/run', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"runtime":"node","code":""}',
        signal: leaving.signal,
      });
      const reply = gateway.app.request(request);
      if (when !== 'while it runs') leaving.abort();
      expect(await (await reply).json(), when).toMatchObject({ outcome: { status: 'cancelled' } });
    }
  });
});

describe('a run that is refused names the field', () => {
  test.each([
    ['malformed JSON', '{"runtime":', 'body'],
    ['NaN, which JSON has not', '{"runtime":"node","code":"","limits":{"wallMs":NaN}}', 'body'],
    ['no body', '', 'body'],
    ['a JSON string', '"node"', 'body'],
    ['no runtime', { code: '' }, 'runtime'],
    ['an unknown runtime', { runtime: 'cobol', code: '' }, 'runtime'],
    ['no code', { runtime: 'node' }, 'code'],
    ['code that is no string', { runtime: 'node', code: 7 }, 'code'],
    ['code and files', { runtime: 'node', code: '', files: [{ path: 'a', content: '' }] }, 'files'],
    ['no files at all', { runtime: 'node', files: [] }, 'files'],
    [
      'an entry that is not there',
      { runtime: 'node', files: [{ path: 'a', content: '' }], entry: 'b' },
      'entry',
    ],
    [
      'a path out of the directory',
      { runtime: 'node', files: [{ path: '../a', content: '' }] },
      'files.0.path',
    ],
    [
      'bad base64',
      { runtime: 'node', files: [{ path: 'a', content: '*', encoding: 'base64' }] },
      'files.0.content',
    ],
    ['an image that is no reference', { runtime: 'node', code: '', image: '-' }, 'image'],
    ['a user beside a runtime', { runtime: 'node', code: '', user: 'root' }, 'user'],
    ['an entrypoint beside a runtime', { runtime: 'node', code: '', entrypoint: ['a'] }, 'entrypoint'],
    ['a directory beside a runtime', { runtime: 'node', code: '', workdir: '/' }, 'workdir'],
    ['a relative directory', { image: 'node', workdir: 'a' }, 'workdir'],
    ['a directory that leads up', { image: 'node', workdir: '/a/../..' }, 'workdir'],
    ['a user that is none', { image: 'node', user: 'a b' }, 'user'],
    ['code and an image alone', { image: 'node', code: '' }, 'code'],
    ['an entry and an image alone', { image: 'node', entry: 'a' }, 'entry'],
    ['a diff that is none', { runtime: 'node', code: '', diff: 'all' }, 'diff'],
    ['an unknown field', { runtime: 'node', code: '', cod: '' }, 'cod'],
    ['an unknown limit', { runtime: 'node', code: '', limits: { wallS: 1 } }, 'limits.wallS'],
    ['a network', { runtime: 'node', code: '', network: 'host' }, 'network'],
    ['a bad variable name', { runtime: 'node', code: '', env: { 'A-B': '' } }, 'env.A-B'],
    ['an argument with NUL', { runtime: 'node', code: '', args: ['a\0b'] }, 'args.0'],
  ])('%s', async (_, body, field) => {
    expect(await runRefused(body)).toMatchObject({ status: 400, code: 'invalid_request', field });
  });

  test.each(Object.entries(limitTable))(
    'limit %s out of range or not a number',
    async (name, { min, max }) => {
      for (const value of [min - 1, max + 1, 2 ** 54, -(2 ** 54), '100', null, [], true]) {
        const refused = await runRefused({ runtime: 'node', code: '', limits: { [name]: value } });
        expect(refused, `${name}=${value}`).toMatchObject({ status: 400, field: `limits.${name}` });
      }
      // JSON's 1e999 is Infinity to a parser.
      const infinite = await runRefused(`{"runtime":"node","code":"","limits":{"${name}":1e999}}`);
      expect(infinite).toMatchObject({ status: 400, field: `limits.${name}` });
    },
  );

  test('a body over the size limit is a 413, announced or streamed', async () => {
    const body = JSON.stringify({ runtime: 'node', code: 'x'.repeat(70_000) });
    const announced = await gateway.postJson('/v1/run', body, { headers: { 'content-length': '70030' } });
    expect(await refusal(announced)).toMatchObject({ status: 413, code: 'body_too_large', field: 'body' });
    const streamed = await gateway.postJson('/v1/run', body);
    expect(await refusal(streamed)).toMatchObject({ status: 413, code: 'body_too_large', field: 'body' });
  });

  test('JSON nested deeper than 100 levels', async () => {
    const refused = await runRefused('['.repeat(30_000));
    expect(refused).toMatchObject({ status: 400, field: 'body', message: expect.stringContaining('100') });
  });

  test('brackets inside of strings do not nest', async () => {
    await gateway.startWorker(async (job) => finished(job));
    const code = `"\\"${'['.repeat(500)}`;
    expect((await gateway.postJson('/v1/run', { runtime: 'node', code })).status).toBe(200);
  });

  test('a body that is not UTF-8', async () => {
    const response = await gateway.app.request('/v1/run', {
      method: 'POST',
      body: new Uint8Array([0x22, 0xff, 0x22]),
    });
    expect(await refusal(response)).toMatchObject({ status: 400, field: 'body' });
  });
});
