import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../shared/config.ts';
import { type BoxKeys, boxKeys } from './sealed-box.ts';

/**
 * The keys that secrets are sealed with and for: of the private one in the configuration, or else of one in the data
 * directory, which only root can read and which is made at the first start. Secrets that were put for another key are lost.
 */
export async function loadSecretKeys({
  ONCEBOX_DATA_DIR,
  ONCEBOX_SECRETS_KEY,
}: Pick<Config, 'ONCEBOX_DATA_DIR' | 'ONCEBOX_SECRETS_KEY'>): Promise<BoxKeys> {
  if (ONCEBOX_SECRETS_KEY !== '') return boxKeys(ONCEBOX_SECRETS_KEY);
  const path = join(ONCEBOX_DATA_DIR, 'secrets-key');
  try {
    return boxKeys((await readFile(path, 'utf8')).trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return makeKey(path);
    throw new Error(`cannot read the key of secrets at ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Whole and on the disk before it has its name: what is sealed for it must open after a power cut. */
async function makeKey(path: string): Promise<BoxKeys> {
  const keys = boxKeys();
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  const file = await open(unfinished, 'wx', 0o600);
  try {
    await file.writeFile(`${keys.privateKey}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
  return keys;
}
