import { z } from 'zod';

const MiB = 1024 * 1024;

/**
 * The caps of one invocation. Every field has a unit in its name, a default and a range; anything that is not a
 * finite number in range is refused with the field's name. The maxima here are the wire's; a node's
 * configuration may lower them.
 */
const cap = (defaultValue: number, min: number, max: number) => ({ defaultValue, min, max });

export const limitTable = {
  /** Wall-clock time of the user's code, milliseconds. */
  wallMs: cap(10_000, 1, 900_000),
  /** CPU time of all processes of the sandbox together, milliseconds. */
  cpuMs: cap(10_000, 1, 900_000),
  /** CPU bandwidth, in cores. */
  cpus: cap(1, 0.05, 64),
  /** Memory of all processes and of the writable layer, bytes. */
  memoryBytes: cap(128 * MiB, 16 * MiB, 16_384 * MiB),
  /** Processes and threads alive at once. */
  pids: cap(64, 1, 4_096),
  /** Size of the writable layer, bytes. */
  diskBytes: cap(64 * MiB, 64 * 1024, 16_384 * MiB),
  /** Files and directories in the writable layer. */
  diskInodes: cap(16_384, 128, 1_048_576),
  /** Output kept, bytes; what comes after is dropped and the reply says so. */
  stdoutBytes: cap(MiB, 0, 16 * MiB),
  stderrBytes: cap(MiB, 0, 16 * MiB),
} as const;

export type LimitName = keyof typeof limitTable;
/** All caps, resolved: what a worker enforces. */
export type Limits = Record<LimitName, number>;

const limitNames = Object.keys(limitTable) as LimitName[];

/** Schema for the caps a request may give, none of which may exceed `maxima`. */
export function limitsInput(maxima: Limits = wireMaxima()) {
  const shape = Object.fromEntries(
    limitNames.map((name) => {
      const { min } = limitTable[name];
      const number = z.number().min(min).max(maxima[name]);
      return [name, (name === 'cpus' ? number : number.int()).optional()];
    }),
  ) as Record<LimitName, z.ZodOptional<z.ZodNumber>>;
  return z.strictObject(shape);
}

/** Schema for a full set of caps inside a job. */
export const limitsSchema = z.object(
  Object.fromEntries(limitNames.map((name) => [name, z.number().min(limitTable[name].min)])) as Record<
    LimitName,
    z.ZodNumber
  >,
);

export function defaultLimits(): Limits {
  return Object.fromEntries(limitNames.map((name) => [name, limitTable[name].defaultValue])) as Limits;
}

export function wireMaxima(): Limits {
  return Object.fromEntries(limitNames.map((name) => [name, limitTable[name].max])) as Limits;
}
