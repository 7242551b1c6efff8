import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const header = join(import.meta.dirname, 'unfiltered.h');

/**
 * The native code as it is, but that no seccomp filter is ever loaded: only to measure what the filters cost. Built in
 * `buildDir`, which is the caller's to make and to remove. Takes some seconds.
 */
export async function buildUnfiltered(nativeDir: string, buildDir: string): Promise<void> {
  // The header is read before a source can say that it wants GNU's names.
  const flags = `CFLAGS=-O2 -g -D_GNU_SOURCE= -include ${header}`;
  await promisify(execFile)('make', ['-s', '-j2', '-C', nativeDir, `BUILD=${buildDir}`, flags, 'zones']);
}
