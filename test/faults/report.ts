import Table from 'cli-table3';
import type { FaultReport, StruckFault } from './harness.ts';

const findingsShown = 30;

/** For people. */
export function reportText(report: FaultReport): string {
  const { seed, accepted, finished, durationMs, findings, orphans, ok } = report;
  return [
    faultTable(report.faults),
    `accepted ${accepted}, finished ${finished}: ${countsText(report.outcomes)}`,
    ...Object.entries(report.reasons).map(([reason, count]) => `  ${count} lost: ${reason}`),
    `answers: ${countsText(report.answers)}`,
    `orphans: ${orphans.length}${orphans.map((orphan) => `\n  ${orphan}`).join('')}`,
    ...findings.slice(0, findingsShown).map((finding) => `! ${finding}`),
    ...(findings.length > findingsShown ? [`! and ${findings.length - findingsShown} more`] : []),
    `${ok ? 'All is accounted for' : 'NOT all is well'}: seed ${seed}, ${(durationMs / 1000).toFixed(0)} s`,
  ].join('\n');
}

function faultTable(faults: readonly StruckFault[]): string {
  const table = new Table({
    head: ['fault', 'times', 'recovered, ms (median)', '(worst)'],
    style: { head: [] },
  });
  for (const name of new Set(faults.map((fault) => fault.name))) {
    const times = faults
      .filter((fault) => fault.name === name)
      .map(({ recoveredMs }) => recoveredMs ?? Number.POSITIVE_INFINITY)
      .sort((a, b) => a - b);
    const shown = (ms: number | undefined) => (Number.isFinite(ms) ? (ms as number).toFixed(0) : 'never');
    table.push([name, times.length, shown(times[Math.floor(times.length / 2)]), shown(times.at(-1))]);
  }
  return table.toString();
}

function countsText(counts: Record<string, number>): string {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}
