import type { ColourOf } from '../colours.ts';
import { type Markup, markup } from '../markup.ts';
import { renderPlot } from '../plot.ts';
import { rampLatencyPlot, throughputPlot } from '../plots/ramp.ts';
import type { Floor } from '../schema.ts';
import type { Sweep } from '../series-groups.ts';
import { failuresOf, latencyTable } from './loads.ts';

/** Loads over rising concurrency. */
export function rampSection(
  sweeps: readonly Sweep[],
  floors: readonly Floor[],
  colourOf: ColourOf,
): Markup | undefined {
  if (sweeps.length === 0) return undefined;
  const all = sweeps.flatMap(({ series }) => series);
  return markup`<section>
<h2>Concurrency</h2>
<div class="plots">${renderPlot(throughputPlot(sweeps, floors, colourOf))}${renderPlot(rampLatencyPlot(sweeps, colourOf))}</div>
${latencyTable(all, ({ workload, concurrency }) => `${workload}, ${concurrency} at once`)}
${failuresOf(all)}
</section>`;
}
