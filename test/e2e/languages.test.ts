import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { LanguageEvent } from '../../sdk/contract/language.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { useCli } from '../cli/use-cli.ts';
import { ownStoreConfig } from '../support/platform.ts';

let platform: Platform;
let client: Client;
let directory: string;
const cli = useCli(() => platform.url);

beforeAll(async () => {
  platform = await startPlatform(await ownStoreConfig(), { log: { step() {}, event() {}, line() {} } });
  client = createClient(platform.url);
  directory = await mkdtemp(join(tmpdir(), 'oncebox-languages-'));
});
afterAll(async () => {
  await platform?.close();
  if (platform) await rm(platform.config.ONCEBOX_DATA_DIR, { recursive: true, force: true });
  if (directory) await rm(directory, { recursive: true });
});

const references = async () => (await client.images()).map(({ reference }) => reference);
const scratch = () => readdir(join(platform.config.storeDir, 'scratch'));
const bases = ['bash', 'node', 'python'].map((name) => `localhost/${name}:latest`);

test('an install that is given up leaves nothing', { timeout: 180_000 }, async () => {
  const stop = new AbortController();
  const install = client.languages.install('bc', {
    signal: stop.signal,
    onEvent: (event) => event.type === 'step' && event.step === 'download' && stop.abort(new Error('enough')),
  });
  await expect(install).rejects.toThrow('enough');
  await vi.waitFor(async () => expect(await scratch()).toEqual([]), { timeout: 30_000 });
  expect(await references()).toEqual(bases);
});

test('run installs the language of a program that it meets for the first time', {
  timeout: 180_000,
}, async () => {
  const program = join(directory, 'main.lua');
  await writeFile(program, 'print("Hello, " .. io.read() .. " " .. arg[1])');
  const { code, stdout, stderr } = await cli(['run', program, 'again'], { stdin: 'box\n' });
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: 'Hello, box again\n' });
  for (const step of ['resolve', 'download', 'unpack', 'test']) expect(stderr).toContain(`${step} `);
  expect(await references()).toEqual([bases[0], 'localhost/language/lua:5.4.4', ...bases.slice(1)]);
  expect(await scratch()).toEqual([]);
});

test('a language that is there is not made again, and is gone once it is removed', async () => {
  const events: LanguageEvent[] = [];
  const lua = await client.languages.install('lua', { onEvent: (event) => events.push(event) });
  expect(lua).toMatchObject({
    name: 'lua',
    installed: true,
    image: { reference: 'localhost/language/lua:5.4.4' },
  });
  expect(events.map(({ type }) => type)).toEqual(['done']);
  expect((await cli(['languages', 'ls', '--quiet'])).stdout).toBe(
    'bash\njavascript\nlua\npython\ntypescript\n',
  );
  await client.languages.remove('lua');
  expect(await references()).toEqual(bases);
  await expect(client.run({ language: 'lua', code: '' })).rejects.toMatchObject({
    code: 'language_not_installed',
  });
  await expect(client.languages.remove('lua')).rejects.toMatchObject({ code: 'language_not_installed' });
});

test('what the catalogue has not, or the platform stands on, is refused', async () => {
  await expect(client.languages.install('klingon')).rejects.toMatchObject({ code: 'language_not_found' });
  await expect(client.languages.remove('python')).rejects.toMatchObject({ code: 'image_in_use' });
});
