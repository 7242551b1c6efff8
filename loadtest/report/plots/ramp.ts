import type { ColourOf } from '../colours.ts';
import { digits } from '../figures.ts';
import { grid, type Plot, shortened, xAxis, yAxis } from '../plot.ts';
import type { Floor } from '../schema.ts';
import type { Sweep } from '../series-groups.ts';
import { endLabel } from './end-label.ts';

/** Throughput against concurrency, with the bare sandbox's as the line that it cannot cross. */
export function throughputPlot(sweeps: readonly Sweep[], floors: readonly Floor[], colourOf: ColourOf): Plot {
  const limits = sweeps.flatMap(({ workload }) => {
    const rate = floors.find(({ name }) => name === `sandbox ${workload}`)?.ratePerSecond;
    return rate !== undefined && rate > 0 ? [{ workload, rate }] : [];
  });
  return {
    title: 'Throughput against concurrency',
    ...(limits.length > 0 && { caption: 'Dashed: bare sandboxes, without HTTP, queue and pool.' }),
    option: () => ({
      ...base(sweeps, 'right answers per second', 'value'),
      series: [
        ...sweeps.map((sweep) => line(sweep, colourOf, ({ ratePerSecond }) => ratePerSecond)),
        ...limits.map(({ workload, rate }) => ({
          type: 'line',
          name: `sandbox ${workload}`,
          showSymbol: false,
          lineStyle: { color: colourOf(workload), width: 1.25, type: [4, 4] },
          data: concurrencies(sweeps).map((concurrency) => [concurrency, rate]),
        })),
      ],
    }),
  };
}

/** The price of it: p99 as a line, the median as a thin one. */
export function rampLatencyPlot(sweeps: readonly Sweep[], colourOf: ColourOf): Plot {
  return {
    title: 'Latency against concurrency',
    caption: 'Thick: p99. Thin: p50.',
    option: () => ({
      ...base(sweeps, 'latency, ms', 'log'),
      series: [
        ...sweeps.map((sweep) => line(sweep, colourOf, ({ latencyMs }) => latencyMs.p99)),
        ...sweeps.map((sweep) => ({
          ...line(sweep, colourOf, ({ latencyMs }) => latencyMs.p50),
          showSymbol: false,
          lineStyle: { color: colourOf(sweep.workload), width: 1 },
          endLabel: { show: false },
        })),
      ],
    }),
  };
}

function base(sweeps: readonly Sweep[], yName: string, yType: 'value' | 'log') {
  const all = concurrencies(sweeps);
  return {
    grid: { ...grid, right: 84 },
    xAxis: xAxis('requests at once', {
      type: 'log',
      logBase: 2,
      min: all[0],
      max: all.at(-1),
      axisLabel: { formatter: digits },
    }),
    yAxis: yAxis(yName, { type: yType, axisLabel: { formatter: digits } }),
  };
}

function line(sweep: Sweep, colourOf: ColourOf, figureOf: (series: Sweep['series'][number]) => number) {
  const colour = colourOf(sweep.workload);
  const name = shortened(sweep.workload);
  return {
    type: 'line',
    name,
    symbol: 'circle',
    symbolSize: 5,
    lineStyle: { color: colour, width: 2 },
    itemStyle: { color: colour },
    ...endLabel(name),
    data: sweep.series
      .map((series) => [series.concurrency ?? 0, figureOf(series)] as const)
      .filter(([concurrency, value]) => concurrency > 0 && Number.isFinite(value)),
  };
}

function concurrencies(sweeps: readonly Sweep[]): number[] {
  const all = sweeps.flatMap(({ series }) => series.flatMap(({ concurrency }) => concurrency ?? []));
  return [...new Set(all)].filter((concurrency) => concurrency > 0).sort((a, b) => a - b);
}
