import type { ColourOf } from '../colours.ts';
import { bytes, digits } from '../figures.ts';
import { dataTable, type Markup, markup, words } from '../markup.ts';
import { renderPlot } from '../plot.ts';
import { timelinePlots } from '../plots/timeline.ts';
import type { Report, Timeline } from '../schema.ts';
import { spreadOf } from '../statistics.ts';

/** Rates, memory and the like over time. */
export function timelinesSection({ timelines: all, series }: Report, colourOf: ColourOf): Markup | undefined {
  const timelines = all.filter(({ points }) => points.length > 0);
  if (timelines.length === 0) return undefined;
  const workloads = new Set(series.map(({ workload }) => workload));
  return markup`<section>
<h2>Over time</h2>
<div class="plots">${timelinePlots(timelines, colourOf, workloads).map(renderPlot)}</div>
${dataTable(
  'Beginning and end are means of the first and the last tenth',
  ['', 'Beginning', 'End', 'Least', 'Median', 'Most', words('Unit')],
  timelines.map(timelineRow),
)}
</section>`;
}

function timelineRow({ name, unit, points }: Timeline): (string | Markup)[] {
  const figure = unit === 'bytes' ? bytes : digits;
  const tenth = Math.max(1, Math.floor(points.length / 10));
  const values = points.map(([, value]) => value);
  const { min, p50, max } = spreadOf(values);
  const beginning = spreadOf(values.slice(0, tenth)).mean;
  const end = spreadOf(values.slice(-tenth)).mean;
  return [name, ...[beginning, end, min, p50, max].map(figure), words(unit === 'bytes' ? '' : unit)];
}
