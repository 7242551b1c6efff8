import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import { isBuiltIn } from '../../services/languages/installed-languages.ts';
import { languages } from '../../services/languages/recipes/index.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { ownStoreConfig } from '../support/platform.ts';
import { faults } from './faults.ts';

/** Names with a blank between them; all unless given. */
const wanted = process.env.ONCEBOX_LANGUAGES?.split(/[\s,]+/);
const tested = languages.filter(({ name }) => wanted?.includes(name) ?? true);
let platform: Platform;
let client: Client;

beforeAll(async () => {
  platform = await startPlatform(await ownStoreConfig(), { log: { step() {}, event() {}, line() {} } });
  client = createClient(platform.url);
});
afterAll(async () => {
  await platform?.close();
  if (platform) await rm(platform.config.ONCEBOX_DATA_DIR, { recursive: true, force: true });
});

describe.each(tested.map((one) => [one.name, one] as const))('%s', (name, language) => {
  const { fileName } = language;
  const fault = faults[name];
  const run = (content: string, stdin = fault?.stdin ?? '', limits: Partial<Limits> = {}) =>
    client.run({ language: name, files: [{ path: fileName, content }], stdin, limits });

  beforeAll(() => client.languages.install(name).then(() => {}), 1_200_000);
  afterAll(async () => {
    // Together they would take tens of gigabytes.
    if (!isBuiltIn(language)) await client.languages.remove(name);
  });

  test('prints, and reads standard input', async () => {
    const { files, stdin, stdout } = language.test;
    const invocation = await run(Object.values(files)[0] ?? '', stdin);
    expect(invocation).toMatchObject({ outcome: { status: 'ok' }, stdout });
  });

  test('says what is wrong with a program', async () => {
    const { outcome, compile, stdout, stderr } = await run(fault?.wrong ?? '');
    if (language.compile) {
      expect(outcome).toMatchObject({ status: 'compile_failed' });
      expect(compile?.outcome).toMatchObject({ status: 'exited' });
      expect((compile?.stdout ?? '') + compile?.stderr).not.toBe('');
    } else {
      // What is forked from a warm interpreter says what was thrown.
      const failed = isBuiltIn(language) && name !== 'bash' ? 'function_error' : 'exited';
      expect(outcome, stdout + stderr).toMatchObject({ status: fault?.wrongStatus ?? failed });
      expect(stdout + stderr).not.toBe('');
    }
  });

  test('is ended when its time is up', async () => {
    const { outcome, stderr } = await run(fault?.forever ?? '', undefined, { wallMs: 3_000 });
    expect(outcome, stderr).toMatchObject({ status: 'timeout', limit: 'wall' });
  });

  test.skipIf(fault?.greedy === undefined)('is ended when its memory is used up', async () => {
    const limits = { wallMs: 60_000, cpuMs: 60_000 };
    const { outcome, stderr } = await run(fault?.greedy ?? '', undefined, limits);
    expect(outcome, stderr.slice(0, 1000)).toMatchObject({ status: fault?.greedyStatus ?? 'oom_killed' });
  });
});
