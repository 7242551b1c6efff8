import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface CloneFloor {
  count: number;
  meanUsec: number;
  p50Usec: number;
  p99Usec: number;
}

/** Clone and wait of a small C process, built here if need be. */
export function measureClone(nativeDir: string, count: number): CloneFloor {
  execFileSync('make', ['-s', '-C', nativeDir, 'floor'], { stdio: ['ignore', 'ignore', 'inherit'] });
  return JSON.parse(execFileSync(join(nativeDir, 'build/floor'), [`${count}`], { encoding: 'utf8' }));
}
