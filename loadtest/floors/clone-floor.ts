import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Floor } from '../report/schema.ts';
import { spreadOf } from '../report/statistics.ts';

const run = promisify(execFile);
const source = join(import.meta.dirname, 'clone.c');
const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];

/** Clone and wait of a small C process, which is built in `directory`: below it no start of anything can come. */
export async function measureClone(directory: string, count: number): Promise<Floor> {
  const program = join(directory, 'clone');
  await run('cc', [...flags, '-o', program, source]);
  const { stdout } = await run(program, [`${count}`], { maxBuffer: 64 * 1024 * 1024 });
  const milliseconds = stdout
    .trim()
    .split('\n')
    .map((line) => Number(line) / 1000);
  return { name: 'clone + wait', latencyMs: spreadOf(milliseconds) };
}
