import { chmod, link, readFile, rm, writeFile } from 'node:fs/promises';
import type { Config } from '../shared/config.ts';
import { idOfApiKey, newApiKey } from '../tenants/api-key.ts';

/**
 * The key that opens all: the configured one, or the one in the data directory, which is made at the first start that
 * needs it. Only root can read that file. Undefined where no keys are needed.
 */
export async function adminKeyOf(config: Config): Promise<string | undefined> {
  if (!config.needsKeys) return undefined;
  if (config.ONCEBOX_ADMIN_KEY !== '') return config.ONCEBOX_ADMIN_KEY;
  const { adminKeyFile } = config;
  const kept = await readFile(adminKeyFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (kept !== undefined) return checked(kept.trim(), adminKeyFile);
  const { key } = newApiKey();
  // Whole or not there: a start that is cut off in between leaves no file that is half a key.
  const temporary = `${adminKeyFile}.${process.pid}`;
  try {
    await writeFile(temporary, `${key}\n`, { mode: 0o600, flag: 'wx' });
    await chmod(temporary, 0o600);
    await link(temporary, adminKeyFile);
  } finally {
    await rm(temporary, { force: true });
  }
  return key;
}

/** The message has nothing of the key. */
function checked(key: string, path: string): string {
  if (idOfApiKey(key) !== undefined) return key;
  throw new Error(`cannot use ${path}: it holds no key; delete it to have another made`);
}
