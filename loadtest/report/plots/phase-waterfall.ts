import { digits, milliseconds } from '../figures.ts';
import { axis, grid, halfWidthPx, legend, legendHeight, type Plot, shortened, xAxis } from '../plot.ts';
import type { Series } from '../schema.ts';

/** In the order in which they happen. */
const order = ['receiveMs', 'queueMs', 'admitMs', 'prepareMs', 'leaseMs', 'startMs', 'runMs'];

interface Segment {
  name: string;
  ms: number;
}

/** Where the time of a median request goes: the medians of its phases one after another. */
export function phaseWaterfallPlot(all: readonly Series[]): Plot | undefined {
  const series = all.filter(({ phaseMs }) => Object.keys(phaseMs).length > 0);
  if (series.length === 0) return undefined;
  const rows = series.map((one) => segmentsOf(one));
  const names = [...new Set(rows.flatMap((segments) => segments.map(({ name }) => name)))];
  return {
    title: 'Phases of a median request',
    caption:
      'Medians one after another; “rest” is what the client waited beyond them (HTTP, gateway, network).',
    height: 96 + 46 * series.length + legendHeight(names, halfWidthPx),
    option: (width) => ({
      grid: { ...grid, left: 10, top: 8, bottom: grid.bottom + legendHeight(names, width) },
      legend: legend(names),
      xAxis: xAxis('ms', { min: 0, axisLabel: { formatter: digits } }),
      yAxis: axis({
        type: 'category',
        inverse: true,
        data: series.map((one) => `${shortened(one.workload)}  ${milliseconds(one.latencyMs.p50)}`),
        splitLine: { show: false },
        // Above its bar, for names are longer than a margin can be.
        axisLabel: {
          inside: true,
          align: 'left',
          verticalAlign: 'bottom',
          padding: [0, 0, 9, -4],
          color: 'var(--text)',
        },
        z: 10,
      }),
      series: names.map((name) => ({
        type: 'bar',
        name,
        stack: 'phases',
        barWidth: 13,
        itemStyle: { ...lookOf(name), borderWidth: 0.75 },
        data: rows.map((segments) => segments.find((segment) => segment.name === name)?.ms ?? 0),
      })),
    }),
  };
}

/** Medians do not add up to the median of the sum: what is missing is the rest, and never less than nothing. */
export function segmentsOf({ phaseMs, latencyMs }: Series): Segment[] {
  const position = (phase: string) => (order.includes(phase) ? order.indexOf(phase) : order.length);
  const inside = Object.entries(phaseMs)
    .filter(([, { count }]) => count > 0)
    .sort(([a], [b]) => position(a) - position(b))
    .map(([phase, { p50 }]) => ({ name: phaseName(phase), ms: p50 }));
  const rest = latencyMs.p50 - inside.reduce((sum, { ms }) => sum + ms, 0);
  return [...inside, { name: 'rest', ms: Math.max(0, rest) }];
}

function phaseName(phase: string): string {
  return phase.replace(/Ms$/, '');
}

function lookOf(name: string): Record<string, unknown> {
  if (name === 'rest') return { color: 'var(--rest)', borderColor: 'var(--page)' };
  const index = order.indexOf(`${name}Ms`);
  return { color: `var(--phase${index < 0 ? order.length + 1 : index + 1})`, borderColor: 'var(--page)' };
}
