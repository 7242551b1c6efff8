import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { LanguageEvent } from '../../sdk/contract/language.ts';
import { findLanguage } from '../../services/languages/find-language.ts';
import type { Language } from '../../services/languages/language.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { useCli } from '../cli/use-cli.ts';
import { languageCases } from '../languages/language.cases.ts';
import { connectPiston } from '../support/piston-websocket.ts';
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

test('an install that is given up leaves nothing', async () => {
  // A large one: it is given up before it is there.
  const stop = new AbortController();
  const install = client.languages.install('c', {
    signal: stop.signal,
    onEvent: (event) => event.type === 'step' && event.step === 'download' && stop.abort(new Error('enough')),
  });
  await expect(install).rejects.toThrow('enough');
  await vi.waitFor(
    async () => {
      expect(await scratch()).toEqual([]);
      expect(await references()).toEqual(bases);
    },
    { timeout: 60_000 },
  );
});

test('run installs the language of a program that it meets for the first time', {
  timeout: 600_000,
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

/** Says what it hears, and ends with 3. */
const echo = `section .bss
text: resb 64
section .text
global _start
_start:
  xor rax, rax
  xor rdi, rdi
  mov rsi, text
  mov rdx, 64
  syscall
  test rax, rax
  jle over
  mov rdx, rax
  mov rax, 1
  mov rdi, 1
  syscall
  jmp _start
over:
  mov rax, 60
  mov rdi, 3
  syscall
`;

test("a client of Piston's installs a compiled language, runs programs, talks to one, and removes it", {
  timeout: 600_000,
}, async () => {
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { 'content-type': 'application/json' };
    const init = { method, ...(body && { headers, body: JSON.stringify(body) }) };
    const response = await fetch(new URL(`/api/v2/${path}`, platform.url), init);
    // biome-ignore lint/suspicious/noExplicitAny: what it is, the test says
    return { status: response.status, reply: (await response.json()) as any };
  };
  const { reply: packages } = await ask('GET', 'packages');
  const nasm = packages.find((one: { language: string }) => one.language === 'nasm');
  expect(nasm.installed).toBe(false);
  const named = { language: 'nasm', version: nasm.language_version };
  const program = (content: string) => ({ ...named, files: [{ content }], run_timeout: 60_000 });
  expect((await ask('POST', 'execute', program(echo))).status).toBe(400);
  expect(await ask('POST', 'packages', named)).toEqual({ status: 200, reply: named });

  const ran = await ask('POST', 'execute', { ...program(echo), stdin: 'hi' });
  expect(ran).toMatchObject({
    status: 200,
    reply: {
      ...named,
      compile: { code: 0, signal: null, stdout: '', status: null },
      run: { code: 3, signal: null, stdout: 'hi\n', status: 'RE' },
    },
  });
  const { reply: refused } = await ask('POST', 'execute', program('oops oops'));
  expect(refused.compile).toMatchObject({ code: expect.any(Number), status: 'RE' });
  expect(refused.compile.stderr).toMatch(/error/);
  expect(refused.run).toEqual(refused.compile);

  const { say, end, printed } = await connectPiston(Number(new URL(platform.url).port));
  say({ type: 'init', ...program(echo), run_timeout: 600_000 });
  say({ type: 'data', stream: 'stdin', data: 'é\n' });
  await vi.waitFor(() => expect(printed()).toBe('é\n'), { timeout: 60_000 });
  say({ type: 'signal', signal: 'SIGTERM' });
  const { messages, code } = await end();
  expect(code).toBe(4999);
  expect(messages.filter(({ type }) => type !== 'data')).toEqual([
    { type: 'runtime', ...named },
    { type: 'stage', stage: 'compile' },
    { type: 'exit', stage: 'compile', code: 0, signal: null },
    { type: 'stage', stage: 'run' },
    { type: 'exit', stage: 'run', code: null, signal: 'SIGTERM' },
  ]);

  expect(await ask('DELETE', 'packages', named)).toEqual({ status: 200, reply: named });
  expect((await ask('POST', 'execute', program(echo))).reply.message).toMatch(/runtime is unknown/);
  expect(await references()).toEqual(bases);
});

// Small ones of each kind; `npm run test:languages` has all.
describe.each([
  ['compiled', 'nasm'],
  ['run by a virtual machine', 'erlang'],
  ['interpreted', 'lua'],
])('a program in a language that is %s, such as %s,', (_, name) => {
  languageCases(() => client, findLanguage(name) as Language);
});
