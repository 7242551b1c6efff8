import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './progress.mjs';

export function baseImages(repo, storeDir) {
  return {
    name: 'base images',
    howToGet: 'npm run setup, as root',

    isDone() {
      const record = join(storeDir, 'base-images.json');
      if (!existsSync(record)) return false;
      const { recipe, layers } = JSON.parse(readFileSync(record, 'utf8'));
      return recipe === recipeHash(repo) && layers.every((hex) => existsSync(join(storeDir, 'layers', hex)));
    },

    async run(report) {
      const script = join(repo, 'scripts/build-base-images.ts');
      const args = ['--import', 'tsx', script, storeDir, recipeHash(repo)];
      await runCommand(process.execPath, args, { cwd: repo, onLine: report });
    },
  };
}

/** Another recipe makes other images, so they are built anew when its source changes. */
function recipeHash(repo) {
  const directory = join(repo, 'scripts/base-images');
  const files = readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
  const shared = ['apt-sources.ts', 'layer-tar.ts'].map((name) => join(repo, 'runtime/image/packages', name));
  const hash = createHash('sha256');
  for (const file of [join(repo, 'scripts/build-base-images.ts'), ...files, ...shared])
    hash.update(readFileSync(file));
  return hash.digest('hex');
}
