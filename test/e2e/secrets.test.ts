import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';

/** All that the platform's parts have logged. */
const lines: string[] = [];
const running = usePlatform(
  () => ({ ONCEBOX_LOG_LEVEL: 'trace' }),
  (line) => lines.push(line),
);
/** Found nowhere but where it was put, nor is its beginning. */
const mark = `h${Math.random().toString(36).slice(2, 10).padEnd(8, 'u')}-${process.pid}-${'x'.repeat(40)}`;

const readsIt = {
  node: 'import { readFileSync } from "node:fs"; const early = seen(); function seen() { try { return readFileSync("/run/secrets/TOKEN", "utf8"); } catch { return "none"; } } for (const end = performance.now() + 300; performance.now() < end; ); export const handler = () => ({ early, late: seen() });',
  python:
    'import os, time\ndef seen():\n    try:\n        return open("/run/secrets/TOKEN").read()\n    except OSError:\n        return "none"\nearly = seen()\ntime.sleep(0.3)\ndef handler(event, context):\n    return {"early": early, "late": seen()}\n',
};
type Seen = { early: string; late: string };

async function deploy(name: string, runtime: 'node' | 'python', secrets: string[]) {
  const path = runtime === 'node' ? 'index.mjs' : 'index.py';
  const files = [{ path, content: readsIt[runtime], encoding: 'utf8' as const }];
  await running.client.deploy(name, { runtime, handler: 'index.handler', files, secrets });
}

test.each(['node', 'python'] as const)(
  'a %s function reads its secrets in each call, with a zygote and without',
  async (runtime) => {
    const { client } = running;
    await client.putSecret('TOKEN', { value: mark });
    await deploy(`reads-${runtime}`, runtime, ['TOKEN']);
    const first = (await client.invoke(`reads-${runtime}`)).result as Seen;
    expect(first, 'it initialises in its own sandbox').toEqual({ early: mark, late: mark });
    // Until its initialisation has run in a zygote, which has no secrets.
    await expect
      .poll(async () => (await client.invoke(`reads-${runtime}`)).result, { timeout: 60_000 })
      .toEqual({ early: 'none', late: mark });
    await client.putSecret('TOKEN', { value: `${mark}2` });
    expect((await client.invoke(`reads-${runtime}`)).result, 'the next call has the new value').toEqual({
      early: 'none',
      late: `${mark}2`,
    });
    await client.deleteSecret('TOKEN');
    await expect(client.invoke(`reads-${runtime}`)).rejects.toMatchObject({ code: 'secret_missing' });
  },
);

test('secrets that do not fit into the disk limit are a limit that was exceeded', async () => {
  const { client } = running;
  const value = 'x'.repeat(65_536);
  for (const name of ['TOKEN', 'LARGE']) await client.putSecret(name, { value });
  const files = [{ path: 'index.mjs', content: readsIt.node }];
  const deployed = (secrets: string[], diskBytes: number) =>
    client.deploy('large', {
      runtime: 'node',
      handler: 'index.handler',
      files,
      secrets,
      limits: { diskBytes },
    });
  await deployed(['TOKEN', 'LARGE'], 65_536);
  const outcome = { status: 'limit_exceeded', limit: 'disk', max: 65_536 };
  await expect(client.invoke('large')).rejects.toMatchObject({ code: 'limit_exceeded', outcome });
  // To the last page: the sandbox itself may need some, and it is the agent who finds that.
  await deployed(['TOKEN', 'LARGE'], 131_072);
  const { id } = await client.invokeAsync('large');
  expect((await client.wait(id)).outcome?.status).toMatch(/^(ok|limit_exceeded)$/);
  await deployed(['TOKEN', 'LARGE'], 262_144);
  expect((await client.invoke<Seen>('large')).result.late).toHaveLength(65_536);
});

test('another function that does not name the secret has none', async () => {
  const { client } = running;
  await client.putSecret('TOKEN', { value: mark });
  await deploy('reads-nothing', 'node', []);
  expect((await client.invoke('reads-nothing')).result).toEqual({ early: 'none', late: 'none' });
});

test('neither the record nor the files of a run hold a value', async () => {
  const { client } = running;
  await client.putSecret('TOKEN', { value: mark });
  await deploy('reads-node', 'node', ['TOKEN']);
  const { invocationId } = await client.invoke('reads-node', {}, { diff: 'archive' });
  const record = await client.invocation(invocationId);
  // The handler returns it, so that is where it may be: nowhere beside.
  expect(JSON.stringify({ ...record, outcome: undefined })).not.toContain(mark);
  const bytes = Buffer.from(await new Response(await client.invocationFiles(invocationId)).arrayBuffer());
  expect(bytes.includes(mark)).toBe(false);
});

test('no log has a value, at any level, whether what it is for comes to a good end or not', async () => {
  const { client, platform } = running;
  const put = (body: string) =>
    fetch(`${platform.url}/v1/secrets/TOKEN`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body,
    });
  const bodies = [
    `{"value":${mark}}`,
    `{"value":"${mark}`,
    `{"value":["${mark}"]}`,
    `{"${mark}":1}`,
    `{"base64":"${mark}"}`,
    JSON.stringify({ value: mark.repeat(2000) }),
  ];
  for (const body of bodies) expect((await put(body)).status, body.slice(0, 200)).toBe(400);
  await client.putSecret('TOKEN', { base64: Buffer.from(mark).toString('base64') });
  await deploy('reads-node', 'node', ['TOKEN']);
  const { invocationId: good } = await client.invoke('reads-node');
  const fails =
    'import { readFileSync } from "node:fs"; export const handler = () => { const seen = readFileSync("/run/secrets/TOKEN", "utf8"); console.log(seen); console.error(seen); throw new Error(seen); };';
  const files = [{ path: 'index.mjs', content: fails }];
  const fn = { runtime: 'node' as const, handler: 'index.handler', files, secrets: ['TOKEN'] };
  await client.deploy('fails', fn);
  const { id: bad } = await client.invokeAsync('fails');
  expect(JSON.stringify(await client.wait(bad)), 'it has read it').toContain(mark);
  await client.deleteSecret('TOKEN');
  await expect(client.invoke('fails')).rejects.toMatchObject({ code: 'secret_missing' });

  for (const id of [good, bad]) {
    await expect
      .poll(() => lines.filter((line) => line.includes(id)).length, {
        message: 'the control',
        timeout: 60_000,
      })
      .toBeGreaterThan(0);
  }
  // The beginning will do. A part of longer base64 looks different by where it begins.
  const bytes = Buffer.from(mark.slice(0, 9));
  const inBase64 = [0, 1, 2].map((from) => bytes.subarray(from, from + 6).toString('base64'));
  for (const form of [`${bytes}`, ...inBase64, bytes.toString('hex')])
    expect(lines.filter((line) => line.includes(form))).toEqual([]);
});

test('Redis writes no value to its disk', async () => {
  const { client, config } = running;
  const own = `only-here-${mark}`;
  const before = await client.putSecret('UNREAD', { value: own });
  expect(before.sizeBytes).toBe(own.length);
  const files = await readdir(config.redisDir, { recursive: true, withFileTypes: true });
  let found = 0;
  for (const file of files.filter((entry) => entry.isFile())) {
    const bytes = await readFile(join(file.parentPath, file.name));
    found += bytes.includes('oncebox:secrets:default') && bytes.includes('UNREAD') ? 1 : 0;
    for (const form of [own, Buffer.from(own).toString('base64').slice(0, -4)])
      expect(bytes.includes(form)).toBe(false);
  }
  expect(found, 'that it is written at all').toBeGreaterThan(0);
});

test("the key is root's alone, and the gateway has none that opens", async () => {
  const { config, platform } = running;
  const path = join(config.ONCEBOX_DATA_DIR, 'secrets-key');
  const { mode, uid } = await stat(path);
  expect([mode & 0o777, uid]).toEqual([0o600, 0]);
  const key = (await readFile(path, 'utf8')).trim();
  const environmentOf = (pid: number | undefined) => readFile(`/proc/${pid}/environ`, 'utf8');
  const { worker, gateway, redis } = platform.pids();
  expect(await environmentOf(worker), 'the control').toContain(key);
  expect(await environmentOf(gateway)).not.toContain(key);
  expect(await environmentOf(redis)).not.toContain(key);
});

test('behind another wall, too', async (context) => {
  const { client } = running;
  const isolations = (await client.nodes())[0]?.isolations ?? [];
  if (!isolations.includes('runc')) context.skip('this machine has no runc');
  await client.putSecret('TOKEN', { value: mark });
  const files = [{ path: 'index.mjs', content: readsIt.node, encoding: 'utf8' as const }];
  await client.deploy('walled', {
    runtime: 'node',
    handler: 'index.handler',
    files,
    secrets: ['TOKEN'],
    isolation: 'runc',
    limits: { wallMs: 60_000 },
  });
  expect((await client.invoke('walled')).result).toEqual({ early: mark, late: mark });
});
