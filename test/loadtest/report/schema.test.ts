import { expect, test } from 'vitest';
import { reportSchema } from '../../../loadtest/report/schema.ts';
import { makeReport, makeSeries } from './make-report.ts';

test('a report is the same after it was written and read', () => {
  const report = makeReport();
  expect(reportSchema.parse(JSON.parse(JSON.stringify(report)))).toEqual(report);
});

test('what could not be measured is not a number again after it was written and read', () => {
  const report = { ...makeReport(), series: [makeSeries('warm node', 'node', [])] };
  report.ratios = [{ name: 'impossible', value: Number.POSITIVE_INFINITY, of: 'one', to: 'nothing' }];
  const read = reportSchema.parse(JSON.parse(JSON.stringify(reportSchema.parse(report))));
  expect(read.series[0]?.latencyMs.p50).toBeNaN();
  expect(read.ratios[0]?.value).toBeNaN();
});

test.each([
  ['another version', { schema: 2 }],
  ['another tool', { tool: 'some benchmark' }],
  ['text for a figure', { seed: '1' }],
])('%s is refused', (_, change) => {
  expect(reportSchema.safeParse({ ...makeReport(), ...change }).success).toBe(false);
});
