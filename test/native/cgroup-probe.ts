import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);
const native = fileURLToPath(new URL('../../runtime/native', import.meta.url));
/** cgroup.c at the command line: runtime/native/cgroup-probe.c. */
export const program = join(native, 'build/cgroup-probe');
export const MiB = 1024 * 1024;

export async function buildProbe(): Promise<void> {
  await run('make', ['-C', native, 'probe']);
}

export async function probe(mountinfo: string, ...args: (string | number)[]): Promise<string> {
  return (await run(program, [mountinfo, ...args.map(String)])).stdout;
}
