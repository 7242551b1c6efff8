import { expect, test } from 'vitest';
import { invocationSchema } from '../../sdk/contract/invocation.ts';
import { cancelledInvocation, storedInvocationSchema } from '../../services/queue/record.ts';

const record = cancelledInvocation('inv', {});

test.each([
  [
    { status: 'timeout', limit: 'wall', ms: 5 },
    { status: 'timeout', limit: 'wall', ms: 5, usedMs: 5 },
  ],
  [
    { status: 'oom_killed', memoryMaxBytes: 7 },
    { status: 'oom_killed', memoryMaxBytes: 7, memoryPeakBytes: 7 },
  ],
  [
    { status: 'limit_exceeded', limit: 'pids', max: 9 },
    { status: 'limit_exceeded', limit: 'pids', max: 9, peak: 9 },
  ],
  [
    { status: 'timeout', limit: 'cpu', ms: 5, usedMs: 6 },
    { status: 'timeout', limit: 'cpu', ms: 5, usedMs: 6 },
  ],
])('a record of an older release is read: %j', (outcome, expected) => {
  const old = { ...record, outcome, usage: { cpuMs: 3, wallMs: 4 }, timings: { runMs: 2 } };
  expect(storedInvocationSchema.parse(old)).toMatchObject({
    outcome: expected,
    usage: { cpuMs: 3, cpuUserMs: 0, cpuSystemMs: 0, throttledMs: 0, wallMs: 4, memoryPeakBytes: 0 },
    timings: { runMs: 2, admitMs: 0 },
  });
  expect(invocationSchema.safeParse(old).success).toBe(false);
});

test.each([null, 'text', {}, { ...record, usage: { cpuMs: 'much' } }])('%j is no record', (stored) => {
  expect(storedInvocationSchema.safeParse(stored).success).toBe(false);
});
