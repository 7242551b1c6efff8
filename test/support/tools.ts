import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where set-up puts what only tests need (scripts/setup/test-tools.mjs), beside the store. */
export const testToolsDir = join(
  dirname(process.env.ONCEBOX_STORE_DIR || `${process.env.ONCEBOX_DATA_DIR || '/var/lib/oncebox'}/store`),
  'test-tools',
);

/** PATH with the test tools last: what the machine itself has goes before. */
export function pathWithTestTools(): string {
  return [process.env.PATH ?? '', join(testToolsDir, 'bin')].join(':');
}

/** Where set-up puts the Python packages of the tests (scripts/setup/python-tools.mjs): a PYTHONPATH. */
export function pythonToolsDir(): string {
  const list = readFileSync(new URL('python-tools.txt', import.meta.url));
  return join(testToolsDir, `python-${createHash('sha256').update(list).digest('hex').slice(0, 16)}`);
}
