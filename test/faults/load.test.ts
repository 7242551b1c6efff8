import { expect, test } from 'vitest';
import { runFaults } from './harness.ts';
import { reportText } from './report.ts';

test('under load and five random kills every accepted invocation ends once, and nothing is orphaned', async () => {
  const words: string[] = [];
  const report = await runFaults({
    seed: 20_011,
    invocations: 150,
    kills: 5,
    others: 0,
    clients: 8,
    say: (text) => words.push(text),
  });
  expect(report.findings, reportText(report)).toEqual([]);
  expect(report.orphans, reportText(report)).toEqual([]);
  expect(report.finished).toBe(report.accepted);
  expect(report.accepted).toBeGreaterThanOrEqual(150);
  expect(report.faults).toHaveLength(5);
  expect(report.faults.every(({ recoveredMs }) => recoveredMs !== undefined)).toBe(true);
}, 900_000);
