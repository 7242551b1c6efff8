import { afterEach, expect, test, vi } from 'vitest';
import { wallClockMs } from '../../services/shared/wall-clock.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('the wall clock has fractions of a millisecond', () => {
  const readings = Array.from({ length: 10 }, wallClockMs);
  expect(readings.some((ms) => !Number.isInteger(ms))).toBe(true);
});

test('the wall clock follows a machine whose clock was set after the process began', () => {
  const set = Date.now() + 3_600_000;
  vi.spyOn(Date, 'now').mockReturnValue(set);
  expect(wallClockMs()).toBe(set);
});
