import { type ColourOf, paletteColour } from '../colours.ts';
import { digits } from '../figures.ts';
import { groupBy } from '../group-by.ts';
import { grid, type Plot, shortened, xAxis, yAxis } from '../plot.ts';
import type { Timeline } from '../schema.ts';
import { endLabel } from './end-label.ts';

const MiB = 1024 * 1024;

interface Curve {
  label: string;
  timeline: Timeline;
}

/** Timelines as plots: those of one scenario and one unit share one. */
export function timelinePlots(
  timelines: readonly Timeline[],
  colourOf: ColourOf,
  names: ReadonlySet<string>,
): Plot[] {
  const drawn = timelines.filter(({ points }) => points.length > 1);
  const groups = groupBy(drawn, (timeline) => `${scenarioOf(timeline)}\n${unitOf(timeline)}`);
  return [...groups.values()].map((members) => {
    const [first] = members as [Timeline, ...Timeline[]];
    const curves = members.map((timeline) => ({ label: labelOf(timeline), timeline }));
    const title = curves.length === 1 ? first.name : `${scenarioOf(first)}: ${commonTitle(first)}`;
    return timelinePlot(title, curves, (label, index) =>
      names.has(label) ? colourOf(label) : paletteColour(index),
    );
  });
}

/** Curves of one unit over time, from zero. */
function timelinePlot(
  title: string,
  curves: readonly Curve[],
  colour: (label: string, index: number) => string,
): Plot {
  const [first] = curves;
  const unit = first ? unitOf(first.timeline) : '';
  const lastSecond = Math.max(...curves.flatMap(({ timeline }) => timeline.points.map(([second]) => second)));
  // A load of an hour reads better in minutes.
  const [perUnit, xName] = lastSecond >= 600 ? [60, 'minutes'] : [1, 'seconds'];
  const scale = first?.timeline.unit === 'bytes' ? MiB : 1;
  return {
    title,
    option: () => ({
      grid: { ...grid, right: curves.length > 1 ? 108 : 20 },
      xAxis: xAxis(xName, {
        min: 0,
        max: lastSecond / perUnit,
        axisLabel: { formatter: digits, showMaxLabel: false },
      }),
      yAxis: yAxis(unit, { min: 0, axisLabel: { formatter: digits } }),
      series: curves.map(({ label, timeline }, index) => ({
        type: 'line',
        name: shortened(label),
        showSymbol: timeline.points.length < 12,
        symbol: 'circle',
        symbolSize: 5,
        lineStyle: { color: colour(label, index), width: 1.75 },
        itemStyle: { color: colour(label, index) },
        ...(curves.length > 1 && endLabel(shortened(label), 100)),
        data: timeline.points.map(([second, value]) => [second / perUnit, value / scale]),
      })),
    }),
  };
}

/** The first word of its name. */
function scenarioOf({ name }: Timeline): string {
  return /^[^\s,]+/.exec(name)?.[0] ?? name;
}

/** What is left of the name: `soak, memory of worker` → `worker`, `burst node` → `node`. */
function labelOf(timeline: Timeline): string {
  const rest = timeline.name.slice(scenarioOf(timeline).length).replace(/^[\s,]+/, '');
  return /^.* of (.+)$/.exec(rest)?.[1] ?? (rest || timeline.name);
}

function commonTitle(timeline: Timeline): string {
  const rest = timeline.name.slice(scenarioOf(timeline).length).replace(/^[\s,]+/, '');
  return /^(.*) of .+$/.exec(rest)?.[1] ?? unitOf(timeline);
}

function unitOf({ unit }: Timeline): string {
  return unit === 'bytes' ? 'MiB' : shortened(unit);
}
