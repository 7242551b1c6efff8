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
  return join(testToolsDir, `python-${hashOf('python-tools.txt')}`);
}

/** Runtimes for the SDK, where set-up puts them (scripts/setup/javascript-tools.mjs). */
export function javascriptTools(): { bun: string; deno: string } {
  const directory = join(testToolsDir, `javascript-${hashOf('javascript-tools/package-lock.json')}`);
  return {
    bun: join(directory, 'node_modules/@oven/bun-linux-x64/bin/bun'),
    deno: join(directory, 'node_modules/@deno/linux-x64-glibc/deno'),
  };
}

function hashOf(list: string): string {
  const text = readFileSync(new URL(list, import.meta.url));
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
