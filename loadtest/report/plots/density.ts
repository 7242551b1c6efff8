import type { ColourOf } from '../colours.ts';
import { digits } from '../figures.ts';
import { grid, type Plot, shortened, xAxis, yAxis } from '../plot.ts';
import type { Density } from '../schema.ts';
import { lineOf } from '../statistics.ts';
import { endLabel } from './end-label.ts';

const MiB = 1024 * 1024;

/** Memory against the number of sandboxes alive, each with the line whose slope is the price of one more. */
export function densityPlot(density: readonly Density[], colourOf: ColourOf): Plot {
  return {
    title: 'Memory against sandboxes alive',
    caption: 'Points: what the machine had less available. Line: least squares.',
    option: () => ({
      grid: { ...grid, left: 56, right: 96 },
      xAxis: xAxis('sandboxes alive', { min: 0, max: 'dataMax', axisLabel: { formatter: digits } }),
      yAxis: yAxis('MiB', { min: 0, axisLabel: { formatter: digits } }),
      series: density.flatMap(({ workload, points }) => {
        const fit = lineOf(points.map(({ alive, unavailableBytes }) => [alive, unavailableBytes / MiB]));
        const colour = colourOf(workload);
        const last = Math.max(...points.map(({ alive }) => alive));
        const name = shortened(workload);
        return [
          {
            type: 'line',
            name,
            symbol: 'circle',
            symbolSize: 7,
            lineStyle: { width: 0 },
            itemStyle: { color: colour },
            data: points.map(({ alive, unavailableBytes }) => [alive, unavailableBytes / MiB]),
          },
          {
            type: 'line',
            name: `${name}, least squares`,
            showSymbol: false,
            lineStyle: { color: colour, width: 1.5 },
            itemStyle: { color: colour },
            ...(Number.isFinite(fit.slope) && endLabel(`${name}\n${fit.slope.toFixed(2)} MiB each`, 90)),
            data: Number.isFinite(fit.slope)
              ? [0, last].map((alive) => [alive, Math.max(0, fit.intercept + fit.slope * alive)])
              : [],
          },
        ];
      }),
    }),
  };
}

/** Memory of each: what all share is spread over more and more of them. */
export function perSandboxPlot(density: readonly Density[], colourOf: ColourOf): Plot {
  return {
    title: 'Memory of each sandbox',
    caption: 'All of it divided by how many are alive. Thin: what their cgroups are charged.',
    option: () => ({
      grid: { ...grid, right: 84 },
      xAxis: xAxis('sandboxes alive', { type: 'log', axisLabel: { formatter: digits } }),
      yAxis: yAxis('MiB each', { type: 'log', axisLabel: { formatter: digits } }),
      series: density.flatMap(({ workload, points }) => {
        const colour = colourOf(workload);
        const curve = (width: number, bytesOf: (point: Density['points'][number]) => number) => ({
          type: 'line',
          name: shortened(workload),
          showSymbol: width > 1,
          symbol: 'circle',
          symbolSize: 5,
          lineStyle: { color: colour, width },
          itemStyle: { color: colour },
          data: points
            .map((point) => [point.alive, bytesOf(point) / MiB] as const)
            .filter(([alive, mebibytes]) => alive > 0 && mebibytes > 0),
        });
        return [
          { ...curve(2, ({ perSandboxBytes }) => perSandboxBytes), ...endLabel(shortened(workload)) },
          curve(1, ({ alive, cgroupBytes }) => cgroupBytes / alive),
        ];
      }),
    }),
  };
}
