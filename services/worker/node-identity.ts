import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';

/**
 * The same for all workers that follow each other on one data directory of one machine, until that is booted again, and
 * for no others. Known without being kept anywhere: a full disk could not keep it.
 */
export async function nodeIdentity(dataDir: string): Promise<string> {
  const { dev, ino } = await stat(dataDir);
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return createHash('sha256').update(`${hostname()} ${boot} ${dev} ${ino}`).digest('hex').slice(0, 16);
}
