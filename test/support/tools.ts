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
