import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync } from 'node:fs';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import { sandboxIdBase } from '../../runtime/image/ids.ts';
import { openStore } from '../../runtime/image/store.ts';

const execute = promisify(execFile);

export interface TestLayers {
  /** For the launcher. */
  readonly layersDir: string;
  /** A layer of what the bash script makes in its working directory; ids are those of the image, root's. */
  add(script: string): Promise<string>;
  /** A copy of the layers of a base image, uppermost first. */
  addBase(reference: 'bash' | 'node' | 'python', storeDir: string): Promise<string[]>;
}

/** A directory of layers of the test file's own, gone afterwards. */
export function useLayers(): TestLayers {
  const layersDir = mkdtempSync(join(tmpdir(), 'oncebox-test-layers-'));
  chmodSync(layersDir, 0o755);
  afterAll(() => rm(layersDir, { recursive: true }));
  return {
    layersDir,
    async add(script) {
      const name = randomBytes(32).toString('hex');
      const cwd = join(layersDir, name);
      await mkdir(cwd);
      await chmod(cwd, 0o755);
      await execute('bash', ['-euc', script], { cwd });
      await execute('chown', ['-hR', `${sandboxIdBase}:${sandboxIdBase}`, cwd]);
      return name;
    },
    async addBase(reference, storeDir) {
      const store = openStore(storeDir);
      const { layers } = await store.resolve(reference);
      for (const layer of layers) {
        // Base images share layers. One that is there is in use: to write a file anew pulls its pages from under whoever
        // has it mapped.
        if (existsSync(join(layersDir, layer))) continue;
        await execute('cp', ['-a', '--reflink=auto', join(store.layersDir, layer), layersDir]);
      }
      return [...layers];
    },
  };
}
