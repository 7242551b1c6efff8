import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readAptSources } from '../../runtime/image/packages/apt-sources.ts';

const run = promisify(execFile);

/**
 * Fetches a file of Debian's archive by its path below the mirror, such as `pool/main/b/busybox/…`, to `target`. apt's
 * own helper does it, with the machine's proxy and mirrors, and refuses content with another SHA-256.
 */
export async function fetchFromDebian(path: string, sha256: string, target: string): Promise<void> {
  const ofMachine = (await readAptSources('bookworm')).flatMap((line) => line.match(/https?:\S+/)?.[0] ?? []);
  const mirrors = [...new Set([...ofMachine, 'http://deb.debian.org/debian'])];
  const reasons: string[] = [];
  for (const mirror of mirrors) {
    const url = `${mirror.replace(/\/+$/, '')}/${path}`;
    const args = ['download-file', url, target, `SHA256:${sha256}`];
    try {
      await run('/usr/lib/apt/apt-helper', ['-o', 'APT::Sandbox::User=root', ...args]);
      return;
    } catch (error) {
      reasons.push(`${url}: ${(error as { stderr?: string }).stderr?.trim() || error}`);
    }
  }
  throw new Error(`cannot fetch ${path} from any mirror:\n${reasons.join('\n')}`);
}
