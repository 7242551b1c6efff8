import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../sdk/client.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import { isBuiltIn } from '../../services/languages/installed-languages.ts';
import type { Language } from '../../services/languages/language.ts';
import { patient } from '../support/limits.ts';
import { faults } from './faults.ts';

/** What a program in any language of the catalogue can come to. The language is installed before, and removed behind. */
export function languageCases(clientOf: () => Client, language: Language): void {
  const { name, fileName } = language;
  const fault = faults[name];
  if (!fault) throw new Error(`${name} has no programs that fail`);
  const run = (content: string, stdin = fault.stdin ?? '', limits: Partial<Limits> = patient) =>
    clientOf().run({ language: name, files: [{ path: fileName, content }], stdin, limits });

  beforeAll(
    () =>
      clientOf()
        .languages.install(name)
        .then(() => {}),
    1_200_000,
  );
  afterAll(async () => {
    // Together they would take tens of gigabytes.
    if (!isBuiltIn(language)) await clientOf().languages.remove(name);
  });

  test('prints what it reads from standard input', async () => {
    const { files, stdin, stdout } = language.test;
    const invocation = await run(Object.values(files)[0] ?? '', stdin);
    expect(invocation).toMatchObject({ outcome: { status: 'ok' }, stdout });
  });

  test('says what is wrong with a program', async () => {
    const { outcome, compile, stdout, stderr } = await run(fault.wrong);
    if (language.compile) {
      expect(outcome).toMatchObject({ status: 'compile_failed' });
      expect(compile?.outcome).toMatchObject({ status: 'exited' });
      expect((compile?.stdout ?? '') + compile?.stderr).not.toBe('');
    } else {
      // What is forked from a warm interpreter says what was thrown.
      const failed = isBuiltIn(language) && name !== 'bash' ? 'function_error' : 'exited';
      expect(outcome, stdout + stderr).toMatchObject({ status: fault.wrongStatus ?? failed });
      expect(stdout + stderr).not.toBe('');
    }
  });

  test('is ended when its time is up', async () => {
    const { outcome, compile, stderr } = await run(fault.forever, undefined, { wallMs: 3_000 });
    expect(outcome, compile?.stderr || stderr).toMatchObject({ status: 'timeout', limit: 'wall' });
  });

  test('is ended when its memory is used up', async () => {
    const { outcome, compile, stderr } = await run(fault.greedy);
    const status = fault.greedyStatus ?? 'oom_killed';
    expect(outcome, compile?.stderr || stderr.slice(0, 1000)).toMatchObject({ status });
  });
}
