import { compare, warningsOf } from './comparison.ts';
import { bytes, change, digits, milliseconds, moment } from './figures.ts';
import { type Change, noiseRule } from './noise.ts';
import type { Report } from './schema.ts';
import { tableOf } from './table.ts';

export { renderComparisonHtml } from './comparison-html.ts';

/** What changed from report `a` to report `b`, as text for a terminal of 120 columns. */
export function compareReports(a: Report, b: Report): string {
  const comparison = compare(a, b);
  const { machine, floors, loads, ratios, density } = comparison;
  return [
    `first   ${titleOf(a)}\nsecond  ${titleOf(b)}`,
    warningsOf(comparison).join('\n'),
    tableOf(
      ['machine', 'first', 'second'],
      [17, 48, 48],
      machine.map((fact) => [fact.name, fact.a, fact.b]),
    ),
    tableOf(
      ['floor', 'first', 'second', 'change'],
      [30],
      floors.map(({ name, p50 }) => [name, ...cellsOf(p50, milliseconds)]),
    ),
    tableOf(
      ['load', 'p50', 'is', 'change', 'to floors', 'p99', 'is', 'change', 'rate', 'is', 'change'],
      [26],
      loads.map(({ name, p50, p99, rate, p50ToFloors }) => [
        name,
        ...cellsOf(p50, digits),
        p50ToFloors ? changeText(p50ToFloors) : '',
        ...cellsOf(p99, digits),
        ...cellsOf(rate, digits),
      ]),
    ),
    tableOf(
      ['ratio', 'to', 'first', 'second', 'change'],
      [40, 24],
      ratios.map(({ ratio, value }) => [ratio.name, ratio.to, ...cellsOf(value, digits)]),
    ),
    tableOf(
      ['memory of one more', 'first', 'second', 'change'],
      [20],
      density.map(({ workload, slopeBytes }) => [workload, ...cellsOf(slopeBytes, bytes)]),
    ),
    ['Latencies in milliseconds, rates a second. “~”: within noise.', ...noiseRule].join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function titleOf({ at, machine }: Report): string {
  return `${moment(at)}, revision ${machine.revision}, ${machine.cores} × ${machine.model}`;
}

function cellsOf(value: Change, figure: (value: number) => string): string[] {
  return [figure(value.before), figure(value.after), changeText(value)];
}

function changeText(value: Change): string {
  return `${value.isNoise ? '~ ' : ''}${change(value.change)}`;
}
