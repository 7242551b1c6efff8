import { expect, test } from 'vitest';
import { formatTable } from '../../../loadtest/report/table.ts';
import { makeReport } from './make-report.ts';

test('the table of a whole report fits into 120 columns', () => {
  const lines = formatTable(makeReport()).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
});

test('the table tells what was measured, which targets are met and what could not be measured', () => {
  const text = formatTable(makeReport());
  expect(text).toMatch(/node, warm: p50 .* 2\.38 .* ≤ 3 .* met /);
  expect(text).toMatch(/node, warm: p99 .* 4\.6 .* ≤ 4 .* NOT MET /);
  expect(text).toMatch(/crun, node .* not measured: refuses hybrid cgroups/);
  expect(text).toContain('6.12.48-cloud-amd64');
  expect(text).toContain('HTTP 503: the queue is full');
});

test('parts without data are left out', () => {
  const report = makeReport();
  const text = formatTable({
    ...report,
    floors: [],
    controls: [],
    density: [],
    series: [],
    ratios: [],
    notes: [],
  });
  expect(text).not.toContain('│');
  expect(text).toContain('processor');
});

test('control characters of another machine do not reach the terminal', () => {
  const report = makeReport();
  const text = formatTable({ ...report, url: 'a\u001b[2Jb', notes: ['c\u0007\u009bd'] });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them.
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});
