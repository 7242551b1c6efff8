import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { maskedOfProc } from '../../runtime/sandbox/oci/config.ts';

test('behind an OCI runtime the same of /proc is masked as in a native sandbox', async () => {
  const code = await readFile(join(resolve(import.meta.dirname, '../..'), 'runtime/native/root.c'), 'utf8');
  const [, list = ''] = /masked\[\] = \{([\s\S]*?)\};/.exec(code) ?? [];
  const names = [...list.replace(/\/\*[\s\S]*?\*\//g, '').matchAll(/"([^"]+)"/g)].map(([, name]) => name);
  expect(names.length).toBeGreaterThan(20);
  expect(maskedOfProc).toEqual(names);
});
