import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Names on one command line; the kernel's limit is far above. */
const namesAtOnce = 1000;

/**
 * Bytes of the files below `directory` that are in the page cache: mincore(2), by util-linux's fincore. The cache is
 * kept by inode, so what overlays stacked on the directory have read is counted here, once.
 */
export async function cachedBytes(directory: string): Promise<number> {
  const paths = await regularFiles(directory);
  let bytes = 0;
  for (let at = 0; at < paths.length; at += namesAtOnce) {
    const args = ['--bytes', '--noheadings', '--raw', '--output', 'RES', '--'];
    const { stdout } = await run('fincore', [...args, ...paths.slice(at, at + namesAtOnce)]).catch(
      (error) => {
        const isMissing = error.code === 'ENOENT';
        throw isMissing
          ? new Error('cannot measure the page cache: fincore is missing; Debian has it in util-linux-extra')
          : error;
      },
    );
    for (const line of stdout.trim().split('\n')) bytes += Number(line);
  }
  return bytes;
}

/**
 * Writes the files back and drops them from the page cache, so that what is there later was read by those measured.
 * Pages that a process has mapped stay. `dd`'s manual gives these very options for it; Node has no posix_fadvise.
 */
export async function evict(directory: string): Promise<void> {
  const options = ['oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'];
  const parallel = ['-0', '-I{}', `-P${cpus().length}`];
  const child = spawn('xargs', [...parallel, 'dd', 'of={}', ...options], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  child.stdin.end((await regularFiles(directory)).join('\0'));
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`cannot drop ${directory} from the page cache: dd ended with ${code}`);
}

async function regularFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
