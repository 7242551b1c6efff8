import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { usePlatform } from '../support/use-platform.ts';
import { repo, run, usePackedSdk } from './use-packed-sdk.ts';

const sdk = usePackedSdk();
const platform = usePlatform(() => ({ ONCEBOX_DEFAULT_LIMITS: 'wallMs=60000' }));

test("the examples of the SDK's page do what they say, one after the other", async () => {
  const page = await readFile(join(repo, 'sdk/README.md'), 'utf8');
  const examples = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code = '']) => code);
  expect(examples.length).toBeGreaterThan(4);
  const program = examples.join('\n').replaceAll('http://127.0.0.1:8080', platform.platform.url);
  await writeFile(join(sdk.project, 'readme.mjs'), program);
  // Behind each line that prints stands what it prints.
  const said = [...program.matchAll(/console\.log\(.*; \/\/ (.*)$/gm)].map(([, text]) => text);
  expect(said.length).toBe([...program.matchAll(/console\.log\(/g)].length);
  const { stdout } = await run(process.execPath, ['readme.mjs'], { cwd: sdk.project });
  expect(stdout.trim().split('\n')).toEqual(said);
});
