/** What the two clocks of a process may differ by, milliseconds: `Date.now()` has whole ones. */
const toleranceMs = 2;

/**
 * Unix time, milliseconds with fractions, to be compared with that of other processes. `performance` has the fractions, but
 * its origin is that of the process's start: once the machine's clock has been set, only `Date.now()` is right.
 */
export function wallClockMs(): number {
  const fine = performance.timeOrigin + performance.now();
  const coarse = Date.now();
  return Math.abs(fine - coarse) <= toleranceMs ? fine : coarse;
}
