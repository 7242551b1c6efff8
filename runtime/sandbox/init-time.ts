import type { RunReport } from './sandbox.ts';

/** The interpreters put it before what user code decides, so that a large result is not parsed for it. */
const pattern = /^\{"type": ?"(?:result|error)", ?"initMs": ?(\d{1,9}(?:\.\d{1,20})?)[,}]/;

/**
 * How long a function's initialisation took in this sandbox, by what its interpreter says: milliseconds, never more than
 * the run. Undefined where there was none, or where it did not come to an end. User code can write there too, and gains
 * a zygote of its own sooner or later.
 */
export function initMsOf(report: RunReport): number | undefined {
  const start = Buffer.from(
    report.result.buffer,
    report.result.byteOffset,
    Math.min(report.result.length, 80),
  );
  const ms = pattern.exec(start.toString('latin1'))?.[1];
  return ms === undefined ? undefined : Math.min(Math.round(Number(ms) * 1000), report.runUsec) / 1000;
}
