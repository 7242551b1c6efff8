import { existsSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from '../bundle.mjs';
import { newestMs } from './newest.mjs';

const notSources = ['runtime/native', 'sdk/dist', 'sdk/LICENSE'];
const sources = ['services', 'sdk', 'runtime', 'scripts/bundle.mjs', 'package-lock.json'];

export function servicesBundle(repo) {
  const outDir = join(repo, 'build');
  const stamp = join(outDir, '.made');

  return {
    name: 'services',
    howToGet: 'npm run setup',

    isDone() {
      if (!existsSync(stamp)) return false;
      const madeMs = statSync(stamp).mtimeMs;
      return sources.every((source) => newestMs(join(repo, source), notSources) < madeMs);
    },

    async run() {
      rmSync(stamp, { force: true });
      const started = new Date();
      await bundle(repo, outDir);
      writeFileSync(stamp, '');
      // The start, not the end: what was edited meanwhile may not be in the result.
      utimesSync(stamp, started, started);
    },
  };
}
