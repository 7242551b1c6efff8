#!/usr/bin/env node
// A platform of its own needs all that `npm start` needs, so set-up comes first; another's, a comparison of reports and
// help need npm's packages only. Plain JavaScript, because set-up is what installs those.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const words = process.argv.slice(2);
const isLocal =
  words.length > 0 &&
  words[0] !== 'compare' &&
  !words.some((word) => ['--url', '--help', '-h'].includes(word) || word.startsWith('--url='));
if (isLocal) {
  const setup = fileURLToPath(new URL('../scripts/setup.mjs', import.meta.url));
  const { status } = spawnSync(process.execPath, [setup], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
} else if (!existsSync(new URL('../node_modules', import.meta.url))) {
  console.error('cannot run: npm’s packages are missing; "npm ci" installs them');
  process.exit(1);
}
const { register } = await import('tsx/esm/api');
register();
await import(new URL('./main.ts', import.meta.url).href);
