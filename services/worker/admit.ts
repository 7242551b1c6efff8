import { memoryOverheadBytes } from '../../runtime/sandbox/oci/wall.ts';
import { keptBytes } from '../../runtime/sandbox/zygote-sandbox.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { InvocationJob } from '../queue/job.ts';
import { maxArtifactBytes } from './artifacts.ts';
import type { MemoryCapacity } from './capacity.ts';

/**
 * What a job needs of the node's memory, bytes: of two stages, which come one after the other, the larger part. All at once:
 * who held the first and waited for the second would stand in the way of others who do the same.
 */
export function memoryToAdmit(job: InvocationJob, capacity: MemoryCapacity): number {
  const run = memoryOfRun(job, capacity);
  return job.compile ? Math.max(run, withWall(job.compile.limits, job, capacity)) : run;
}

/** What of that it needs when it is compiled. */
export function memoryOfRun(job: InvocationJob, capacity: MemoryCapacity): number {
  return withWall(job.limits, job, capacity);
}

/** With what the wall itself takes, as far as the node has it: what fits without a wall may run behind one. */
function withWall(
  { memoryBytes }: Pick<Limits, 'memoryBytes'>,
  { isolation = 'native' }: Pick<InvocationJob, 'isolation'>,
  { totalBytes }: MemoryCapacity,
): number {
  return Math.max(memoryBytes, Math.min(memoryBytes + memoryOverheadBytes[isolation], totalBytes));
}

/** What it prints, and what of its writable layers is in memory: where that was asked for, and of a compiler. */
export function outputToAdmit({
  limits,
  diff = false,
  compile,
}: Pick<InvocationJob, 'limits' | 'diff' | 'compile'>): number {
  const changes = diff === false ? 0 : Math.min(limits.diskBytes, keptBytes);
  const compiled = compile
    ? compile.limits.stdoutBytes +
      compile.limits.stderrBytes +
      Math.min(compile.limits.diskBytes, maxArtifactBytes)
    : 0;
  return limits.stdoutBytes + limits.stderrBytes + changes + compiled;
}
