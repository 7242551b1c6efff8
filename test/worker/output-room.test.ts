import { expect, test } from 'vitest';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { outputToAdmit } from '../../services/worker/admit.ts';

const MiB = 1024 * 1024;
const limits = { ...defaultLimits(), stdoutBytes: 2 * MiB, stderrBytes: MiB, diskBytes: 64 * MiB };

test('room for output has the changes in it when they are asked for, as far as they are kept', () => {
  expect(outputToAdmit({ limits })).toBe(3 * MiB);
  expect(outputToAdmit({ limits, diff: false })).toBe(3 * MiB);
  expect(outputToAdmit({ limits, diff: true })).toBe(67 * MiB);
  expect(outputToAdmit({ limits: { ...limits, diskBytes: 4096 * MiB }, diff: 'archive' })).toBe(195 * MiB);
});
