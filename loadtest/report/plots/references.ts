import type { ColourOf } from '../colours.ts';
import { digits, milliseconds, times } from '../figures.ts';
import { axis, grid, type Plot, shortened, xAxis } from '../plot.ts';
import type { Spread } from '../schema.ts';

export interface Reference {
  name: string;
  kind: 'floor' | 'ours' | 'control';
  latencyMs: Spread;
  /** Of its median to that of the reference it is compared with. */
  ratio: number;
}

/** Medians from the quickest to the slowest, on a logarithmic scale: ours between the floors and the controls. */
export function referencePlot(references: readonly Reference[], baseline: string, colourOf: ColourOf): Plot {
  const rows = references
    .filter(({ latencyMs }) => latencyMs.p50 > 0)
    .toSorted((a, b) => a.latencyMs.p50 - b.latencyMs.p50);
  const smallest = Math.min(...rows.map(({ latencyMs }) => latencyMs.p50));
  const start = 10 ** Math.floor(Math.log10(smallest / 1.5));
  const largest = Math.max(...rows.map(({ latencyMs }) => latencyMs.p50));
  return {
    title: 'Floors, ourselves and others',
    caption: `Median latency, one at a time, and its ratio to “${baseline}”. A logarithmic scale: each line to the right is ten times slower.`,
    size: 'full',
    height: 70 + 40 * rows.length,
    option: (width) => ({
      grid: { ...grid, left: 10, top: 8, right: width > 600 ? 130 : 110 },
      xAxis: xAxis('median, ms', {
        type: 'log',
        min: start,
        // Else bars begin at 1.
        startValue: start,
        max: 10 ** Math.ceil(Math.log10(largest)),
        axisLabel: { formatter: digits },
      }),
      yAxis: axis({
        type: 'category',
        inverse: true,
        data: rows.map(({ name }) => shortened(name)),
        splitLine: { show: false },
        axisLabel: {
          inside: true,
          align: 'left',
          verticalAlign: 'bottom',
          padding: [0, 0, 8, -4],
          color: 'var(--text)',
        },
        z: 10,
      }),
      series: [
        {
          type: 'bar',
          barWidth: 12,
          label: {
            show: true,
            position: 'right',
            color: 'var(--text)',
            fontSize: 12,
            formatter: ({ dataIndex }: { dataIndex: number }) => {
              const row = rows[dataIndex];
              return row ? `${milliseconds(row.latencyMs.p50)}   ${times(row.ratio)}` : '';
            },
          },
          data: rows.map(({ kind, latencyMs }) => ({
            value: latencyMs.p50,
            itemStyle: { color: colourOf(kind) },
          })),
        },
      ],
    }),
  };
}
