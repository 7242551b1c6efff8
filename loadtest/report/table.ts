import Table from 'cli-table3';
import { absent, bytes, countsOf, digits, milliseconds, perSecond, targetOf } from './figures.ts';
import { segmentsOf } from './plots/phase-waterfall.ts';
import type { Report, Series } from './schema.ts';
import { machineFacts } from './sections/machine.ts';
import { groupSeries } from './series-groups.ts';

/** A report as text: machine, floors, controls, loads, density, ratios; what was not measured is left out. */
export function formatTable(report: Report): string {
  return [
    machineText(report),
    floorsTable(report),
    controlsTable(report),
    loadsTable(report),
    phasesTable(report),
    densityTable(report),
    ratiosTable(report),
    listOf('failures', report.series.flatMap(failuresOf)),
    listOf('notes', report.notes),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function machineText({ machine, url, at }: Report): string {
  const facts = [...machineFacts(machine), ['Asked', url], ['At', at]] as const;
  return facts.map(([name, value]) => `${name.toLowerCase().padEnd(15)} ${printable(value)}`).join('\n');
}

function floorsTable({ floors }: Report): string {
  return tableOf(
    ['floor', 'p50', 'p90', 'p99', 'rate', 'in flight'],
    [28],
    floors.map(({ name, latencyMs, ratePerSecond, concurrency }) => [
      name,
      ...percentiles(latencyMs),
      perSecond(ratePerSecond),
      concurrency === undefined ? '' : `${concurrency}`,
    ]),
  );
}

function controlsTable({ controls }: Report): string {
  return tableOf(
    ['control', 'p50', 'p90', 'p99', 'rate', 'version'],
    [28, undefined, undefined, undefined, undefined, 40],
    controls.map(({ name, version, available, reason, latencyMs, ratePerSecond }) => [
      name,
      ...(latencyMs ? percentiles(latencyMs) : [absent, absent, absent]),
      perSecond(ratePerSecond),
      available ? (version ?? '') : `not measured: ${reason ?? 'not there'}`,
    ]),
  );
}

function loadsTable({ series }: Report): string {
  return tableOf(
    ['load', 'at once', 'p50', 'p90', 'p99', 'rate', 'requests', 'failed', 'starts'],
    [31, undefined, undefined, undefined, undefined, undefined, undefined, undefined, 14],
    series.map((one) => [
      one.name,
      settingOf(one),
      ...percentiles(one.latencyMs),
      perSecond(one.ratePerSecond),
      digits(one.requests),
      digits(one.failures),
      countsOf(one.starts),
    ]),
  );
}

function phasesTable({ series }: Report): string {
  // Of a sweep over concurrency the queue is all there is to see.
  const { groups } = groupSeries(series);
  const withPhases = groups
    .flatMap((group) => group.series)
    .filter(({ phaseMs }) => Object.keys(phaseMs).length > 0);
  const names = [...new Set(withPhases.flatMap((one) => segmentsOf(one).map(({ name }) => name)))];
  return tableOf(
    ['medians of phases', 'at once', ...names],
    [34],
    withPhases.map((one) => {
      const segments = new Map(segmentsOf(one).map(({ name, ms }) => [name, milliseconds(ms)]));
      return [one.name, settingOf(one), ...names.map((name) => segments.get(name) ?? '')];
    }),
  );
}

function densityTable({ density }: Report): string {
  return tableOf(
    ['density', 'alive', 'answering', 'unavailable', 'each', 'slope'],
    [20],
    density.flatMap(({ workload, points, slopeBytes }) =>
      points.map((point, index) => [
        workload,
        digits(point.alive),
        digits(point.answering),
        bytes(point.unavailableBytes),
        bytes(point.perSandboxBytes),
        index === points.length - 1 ? `${bytes(slopeBytes)} each` : '',
      ]),
    ),
  );
}

function ratiosTable({ ratios }: Report): string {
  return tableOf(
    ['ratio', 'value', 'target', '', 'of', 'to'],
    [38, undefined, undefined, undefined, 27, 19],
    ratios.map((ratio) => [
      ratio.name,
      digits(ratio.value),
      targetOf(ratio),
      ratio.met === undefined ? '' : ratio.met ? 'met' : 'NOT MET',
      ratio.of,
      ratio.to,
    ]),
  );
}

function failuresOf({ name, failureSamples }: Series): string[] {
  return failureSamples.map((sample) => `${name}: ${sample}`);
}

function settingOf({ concurrency, targetRate }: Series): string {
  if (concurrency !== undefined) return `${concurrency}`;
  return targetRate === undefined ? '' : perSecond(targetRate);
}

function percentiles({ p50, p90, p99 }: Series['latencyMs']): string[] {
  return [p50, p90, p99].map(milliseconds);
}

function listOf(title: string, items: readonly string[]): string {
  return items.length === 0 ? '' : [title, ...items.map((item) => `  ${printable(item)}`)].join('\n');
}

/** Long cells wrap at the widths given, so that the whole stays within the terminal; empty without rows. */
export function tableOf(head: string[], widths: (number | undefined)[], rows: string[][]): string {
  if (rows.length === 0) return '';
  const table = new Table({
    head,
    colWidths: head.map((_, index) => widths[index] ?? null),
    colAligns: head.map((_, index) => (index === 0 || widths[index] !== undefined ? 'left' : 'right')),
    wordWrap: true,
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) table.push(row.map(printable));
  return table.toString();
}

/** A terminal obeys control characters, and some of these texts come from another machine. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
