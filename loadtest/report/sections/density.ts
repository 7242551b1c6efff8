import type { ColourOf } from '../colours.ts';
import { bytes, digits } from '../figures.ts';
import { dataTable, type Markup, markup } from '../markup.ts';
import { renderPlot } from '../plot.ts';
import { densityPlot, perSandboxPlot } from '../plots/density.ts';
import type { Density, Report } from '../schema.ts';
import { lineOf } from '../statistics.ts';

/** For a 95 % interval; the points are few and the errors not quite normal, so it is a rough one. */
const standardErrors = 1.96;

/** Memory against how many sandboxes live at once. */
export function densitySection({ density: all }: Report, colourOf: ColourOf): Markup | undefined {
  const density = all.filter(({ points }) => points.length > 0);
  if (density.length === 0) return undefined;
  return markup`<section>
<h2>Density</h2>
<div class="plots">${renderPlot(densityPlot(density, colourOf))}${renderPlot(perSandboxPlot(density, colourOf))}</div>
${dataTable(
  'What one more takes: slope by least squares, with its rough 95 % interval',
  ['', 'Slope', '±', 'R²', 'Most alive', 'Answering', 'Left behind'],
  density.map(slopeRow),
)}
${dataTable(
  'Points',
  ['', 'Alive', 'Answering', 'Unavailable', 'In cgroups', 'Each'],
  density.flatMap(({ workload, points }) =>
    points.map((point) => [
      workload,
      digits(point.alive),
      point.answering < point.alive
        ? markup`<span class="missed">${digits(point.answering)}</span>`
        : digits(point.answering),
      bytes(point.unavailableBytes),
      bytes(point.cgroupBytes),
      bytes(point.perSandboxBytes),
    ]),
  ),
)}
</section>`;
}

function slopeRow({ workload, points, slopeBytes, residue }: Density): string[] {
  const fit = lineOf(points.map(({ alive, unavailableBytes }) => [alive, unavailableBytes]));
  const most = points.reduce((best, point) => (point.alive > best.alive ? point : best));
  const left = Object.entries(residue ?? {}).filter(([, count]) => count > 0);
  return [
    workload,
    bytes(slopeBytes),
    points.length > 2 ? bytes(standardErrors * fit.standardError) : '',
    points.length > 2 ? fit.r2.toFixed(4) : '',
    digits(most.alive),
    digits(most.answering),
    residue ? left.map(([name, count]) => `${count} ${name}`).join(', ') || 'nothing' : '',
  ];
}
