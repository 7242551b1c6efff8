import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { ownStoreConfig } from '../support/platform.ts';
import { type CodeBlock, codeBlocksOf, isPrinted } from './code-blocks.ts';
import { pathInTree } from './markdown.ts';

const document = 'README.md';
const blocks = codeBlocksOf(document);
const isShell = ({ language }: CodeBlock) => language === 'sh' || language === 'bash';
const ofLanguage = (...languages: string[]) =>
  blocks.filter(({ language, notRun }) => languages.includes(language) && notRun === undefined);
const titled = (list: CodeBlock[]) => list.map((block) => [`${document}:${block.line}`, block] as const);
let platform: Platform;
let scratch: string;

beforeAll(async () => {
  const config = await ownStoreConfig();
  platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
  scratch = await mkdtemp(join(tmpdir(), 'oncebox-readme-'));
});
afterAll(async () => {
  await platform?.close();
  if (platform) await rm(platform.config.ONCEBOX_DATA_DIR, { recursive: true });
  if (scratch) await rm(scratch, { recursive: true });
});

test('there is something to run, and what is not run says why', () => {
  expect(ofLanguage('sh', 'bash').length).toBeGreaterThan(8);
  const known = new Set(['sh', 'bash', 'js', 'ts', 'python', 'json', 'text', '']);
  expect(blocks.filter(({ language }) => !known.has(language))).toEqual([]);
  // Each is a hole in this test.
  expect(blocks.filter(({ notRun }) => notRun !== undefined).length).toBeLessThanOrEqual(6);
});

test.each(blocks.filter(({ language }) => language === 'json'))(
  'a block of JSON is JSON: line $line',
  (block) => {
    expect(() => JSON.parse(block.text)).not.toThrow();
  },
);

// In their order: what one deploys the next ones call.
describe('every example works as it stands', { timeout: 600_000 }, () => {
  test.each(
    titled(blocks.filter((block) => !['json', 'text', ''].includes(block.language) && !block.notRun)),
  )('%s', async (_, block) => {
    const printed = isShell(block) ? await runShell(block.text) : await runCode(block);
    if (block.output !== undefined && !isPrinted(block.output, printed))
      expect(printed, 'what the document shows as printed').toBe(block.output);
  });
});

/** As in a clone of the repository; a refused request fails. */
async function runShell(commands: string): Promise<string> {
  const { host } = new URL(platform.url);
  const script = `curl() { command curl --fail-with-body "$@"; }\n${commands.replaceAll('localhost:8080', host)}`;
  return run('bash', ['-euo', 'pipefail', '-c', script]);
}

/** A module that has a handler is deployed and called, any other one is run. */
async function runCode({ language, text: code }: CodeBlock): Promise<string> {
  const isPython = language === 'python';
  if (!/^(export (default|const|(async )?function)|def) ?(async )?(handler|fetch|app|\{)/m.test(code)) {
    const sdk = pathToFileURL(pathInTree('sdk/client.ts')).href;
    const file = join(scratch, isPython ? 'example.py' : `example.${language === 'ts' ? 'mts' : 'mjs'}`);
    const { host } = new URL(platform.url);
    await writeFile(
      file,
      code.replaceAll(/(['"])@oncebox\/sdk\1/g, `'${sdk}'`).replaceAll('localhost:8080', host),
    );
    return isPython ? run('python3', [file]) : run(process.execPath, ['--import', 'tsx', file]);
  }
  const name = `readme-${language}`;
  const deployed = await send('PUT', `/v1/functions/${name}`, {
    runtime: isPython ? 'python' : 'node',
    handler: 'index.handler',
    files: [{ path: isPython ? 'index.py' : 'index.mjs', content: code }],
  });
  expect(deployed.status, await deployed.text()).toBeLessThan(300);
  const called = await send('POST', `/v1/functions/${name}/invoke`, null);
  const reply = await called.text();
  expect(called.status, reply).toBe(200);
  return reply;
}

function send(method: string, path: string, body: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(platform.url + path, { method, headers, body: JSON.stringify(body) });
}

async function run(file: string, args: string[]): Promise<string> {
  const { PATH = '', HOME = '' } = process.env;
  const env = { PATH, HOME, ONCEBOX_URL: platform.url, NO_UPDATE_NOTIFIER: '1', npm_config_offline: 'true' };
  const child = spawn(file, args, { cwd: pathInTree('.'), env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [printed, complained, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  expect(code, `${printed}\n${complained}`).toBe(0);
  return printed;
}
