const MiB = 1024 * 1024;

/** What compilers need beyond the platform's defaults, which are those of small programs. */
export const compilerLimits = {
  wallMs: 30_000,
  cpuMs: 30_000,
  memoryBytes: 512 * MiB,
  diskBytes: 256 * MiB,
  pids: 128,
};
/** Of those that take their time, or come with a linker or a virtual machine that takes its memory. */
export const largeCompilerLimits = {
  wallMs: 60_000,
  cpuMs: 120_000,
  cpus: 2,
  memoryBytes: 1024 * MiB,
  diskBytes: 512 * MiB,
  pids: 256,
};
/** Of programs that run on a virtual machine: it takes this before the program has begun. */
export const machineLimits = { memoryBytes: 384 * MiB, diskBytes: 128 * MiB, pids: 128 };
