import type { ColourOf } from '../colours.ts';
import { absent, milliseconds, perSecond, times } from '../figures.ts';
import { dataTable, type Markup, markup, words } from '../markup.ts';
import { renderPlot } from '../plot.ts';
import { type Reference, referencePlot } from '../plots/references.ts';
import type { Report, Series } from '../schema.ts';
import { fullName } from '../series-groups.ts';

const kindColours: Record<string, string> = {
  floor: 'var(--floor)',
  ours: 'var(--c1)',
  control: 'var(--control)',
};

/** The floors below us and the other ways beside us, measured in the same run. */
export function referencesSection({ floors, controls, series }: Report): Markup | undefined {
  if (floors.length === 0 && controls.length === 0) return undefined;
  const ours = baselinesOf(series);
  const baseline = ours[0]?.latencyMs ?? floors[0]?.latencyMs;
  const baselineName = ours[0] ? fullName(ours[0]) : (floors[0]?.name ?? absent);
  const ratio = (p50: number) => (baseline ? p50 / baseline.p50 : Number.NaN);
  const measured: (Reference & { ratePerSecond?: number | undefined; version?: string | null })[] = [
    ...floors.map((floor) => ({ ...floor, kind: 'floor' as const, ratio: ratio(floor.latencyMs.p50) })),
    ...ours.map((one) => ({
      name: one.name,
      kind: 'ours' as const,
      latencyMs: one.latencyMs,
      ratio: ratio(one.latencyMs.p50),
    })),
    ...controls.flatMap(({ latencyMs, ...control }) =>
      latencyMs ? [{ ...control, kind: 'control' as const, latencyMs, ratio: ratio(latencyMs.p50) }] : [],
    ),
  ];
  const colourOf: ColourOf = (kind) => kindColours[kind] ?? 'var(--control)';
  const missing = controls.filter(({ available }) => !available);
  return markup`<section>
<h2>Floors and controls</h2>
${measured.some(({ latencyMs }) => latencyMs.p50 > 0) && renderPlot(referencePlot(measured, baselineName, colourOf))}
<p class="key"><i class="floor"></i> floor: a part of our own path alone <i class="ours"></i> oncebox <i class="control"></i> control: another way to run a program apart</p>
${dataTable(
  `Ratios are to the median of “${baselineName}”`,
  ['', words('Kind'), 'p50', 'p90', 'p99', 'Ratio', 'Rate', words('Version')],
  measured.map(({ name, kind, latencyMs, ratio: toBaseline, ratePerSecond, version }) => [
    name,
    words(kind),
    milliseconds(latencyMs.p50),
    milliseconds(latencyMs.p90),
    milliseconds(latencyMs.p99),
    times(toBaseline),
    perSecond(ratePerSecond),
    words(version ?? ''),
  ]),
)}
${
  missing.length > 0 &&
  markup`<ul class="note">${missing.map(
    ({ name, reason }) => markup`<li>${name}: not measured${reason !== undefined && `, ${reason}`}</li>`,
  )}</ul>`
}
</section>`;
}

/** One load of each workload to compare with: a warm one with the fewest at once, as references run one at a time. */
function baselinesOf(series: readonly Series[]): Series[] {
  const chosen = new Map<string, Series>();
  const loads = series.filter(({ scenario, latencyMs }) => scenario === 'warm' && latencyMs.p50 > 0);
  for (const one of loads) {
    const other = chosen.get(one.workload);
    if (!other || (one.concurrency ?? 0) < (other.concurrency ?? 0)) chosen.set(one.workload, one);
  }
  return [...chosen.values()];
}
