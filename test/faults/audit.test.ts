import { expect, test } from 'vitest';
import { auditInvocations } from './audit.ts';
import type { LedgerEntry } from './ledger.ts';

test('a job given up while its worker was sound is a finding, one of a worker that was struck is not', () => {
  const line = (pid: number) =>
    JSON.stringify({
      pid,
      invocationId: 'inv_a',
      msg: 'invocation was given up by others while it ran here',
    });
  const { findings } = auditInvocations(new Map(), [], [line(1), line(2)], {
    workers: new Set([2]),
    lostMax: 0,
  });
  expect(findings).toEqual(['inv_a was given up while a sound worker ran it']);
});

test('more lost than ran when something was struck is a finding', () => {
  const entry = (id: string): LedgerEntry => ({
    id,
    added: 1,
    taken: 1,
    isGivenUp: false,
    ends: ['lost'],
    data: '',
    reason: 'it was struck',
  });
  const ledger = new Map(['inv_a', 'inv_b'].map((id) => [id, entry(id)]));
  const find = (lostMax: number) =>
    auditInvocations(ledger, [], [], { workers: new Set(), lostMax }).findings;
  expect(find(1)).toEqual(['2 were lost, and 1 at most ran when something was struck']);
  expect(find(2)).toEqual([]);
});
