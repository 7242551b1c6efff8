import { expect, test } from 'vitest';
import { auditInvocations } from './audit.ts';

test('a job given up while its worker was sound is a finding, one of a worker that was struck is not', () => {
  const line = (pid: number) =>
    JSON.stringify({
      pid,
      invocationId: 'inv_a',
      msg: 'invocation was given up by others while it ran here',
    });
  const { findings } = auditInvocations(new Map(), [], [line(1), line(2)], new Set([2]));
  expect(findings).toEqual(['inv_a was given up while a sound worker ran it']);
});
