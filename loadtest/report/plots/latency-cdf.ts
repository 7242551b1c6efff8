import { digits } from '../figures.ts';
import { grid, halfWidthPx, legend, legendHeight, type Plot, shortened, xAxis, yAxis } from '../plot.ts';
import type { Series } from '../schema.ts';

export interface CdfCurve {
  name: string;
  colour: string;
  series: Pick<Series, 'latencyCdf' | 'latencyMs'>;
  isDashed?: boolean;
}

const shares = [0, 0.5, 0.9, 0.99, 0.999, 0.9999];
const baseHeightPx = 276;

/** How latencies are distributed; on its vertical axis each further nine takes the same room. */
export function latencyCdfPlot(curves: readonly CdfCurve[]): Plot {
  const names = curves.map(({ name }) => shortened(name));
  const top = Math.max(1, ...curves.map(({ series }) => ninesOf(lastShare(series))));
  const values = curves.flatMap(({ series }) => series.latencyCdf.map(([value]) => value));
  const positive = values.filter((value) => value > 0);
  return {
    title: 'Latency, cumulative',
    caption: 'Share of requests answered within this time. The scale widens towards the tail.',
    height: baseHeightPx + legendHeight(names, halfWidthPx),
    option: (width) => ({
      grid: { ...grid, left: 60, bottom: grid.bottom + legendHeight(names, width) },
      legend: legend(names),
      xAxis: xAxis('latency, ms', {
        type: 'log',
        min: niceBelow(Math.min(...positive)),
        max: niceAbove(Math.max(...positive)),
        axisLabel: { formatter: digits },
      }),
      yAxis: yAxis('requests', {
        min: 0,
        max: Math.ceil(top * 4) / 4,
        axisLabel: { customValues: shares.map(ninesOf), formatter: shareLabel },
        axisTick: { show: false, customValues: shares.map(ninesOf) },
        splitLine: { show: true, lineStyle: { color: 'var(--line)' } },
      }),
      series: curves.map(({ colour, series, isDashed }, index) => ({
        type: 'line',
        name: names[index],
        symbol: 'none',
        step: 'end',
        lineStyle: { color: colour, width: 2, type: isDashed ? [5, 4] : 'solid' },
        itemStyle: { color: colour },
        data: pointsOf(series),
      })),
    }),
  };
}

/** The slowest sample has a share of 1, which lies at infinity: it is drawn half a sample below. */
function pointsOf(series: CdfCurve['series']): [number, number][] {
  return series.latencyCdf
    .filter(([value]) => value > 0)
    .map(([value, share]) => [value, ninesOf(Math.min(share, lastShare(series)))]);
}

function lastShare({ latencyMs }: CdfCurve['series']): number {
  return 1 - 0.5 / Math.max(1, latencyMs.count);
}

function ninesOf(share: number): number {
  return -Math.log10(1 - share);
}

function shareLabel(nines: number): string {
  return `${Number(((1 - 10 ** -nines) * 100).toFixed(2))} %`;
}

/** 1, 2 or 5 with zeros, not above the value. */
function niceBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * (value / power >= 5 ? 5 : value / power >= 2 ? 2 : 1);
}

/** And one that is above it. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * (value / power >= 5 ? 10 : value / power >= 2 ? 5 : 2);
}
