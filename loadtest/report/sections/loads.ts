import type { ColourOf } from '../colours.ts';
import { countsOf, digits, duration, milliseconds, perSecond } from '../figures.ts';
import { dataTable, type Markup, markup, words } from '../markup.ts';
import { renderPlot } from '../plot.ts';
import { latencyCdfPlot } from '../plots/latency-cdf.ts';
import { phaseWaterfallPlot, segmentsOf } from '../plots/phase-waterfall.ts';
import type { Series } from '../schema.ts';
import type { SeriesGroup } from '../series-groups.ts';

/** Loads at one setting: how their latencies lie, where the time goes, and the figures. */
export function loadSection({ title, series }: SeriesGroup, colourOf: ColourOf): Markup {
  const curves = series
    .filter(({ latencyCdf }) => latencyCdf.some(([value]) => value > 0))
    .map((one, index, drawn) => {
      const colour = colourOf(one.workload);
      // There are more workloads than colours.
      const isDashed = drawn.slice(0, index).some(({ workload }) => colourOf(workload) === colour);
      return { name: one.workload, colour, series: one, isDashed };
    });
  const phases = phaseWaterfallPlot(series);
  return markup`<section>
<h2>${title} <small>${howOf(series)}</small></h2>
<div class="plots">${curves.length > 0 && renderPlot(latencyCdfPlot(curves))}${phases && renderPlot(phases)}</div>
${latencyTable(series, ({ workload }) => workload)}
${phases && phasesTable(series)}
${failuresOf(series)}
</section>`;
}

export function latencyTable(series: readonly Series[], nameOf: (series: Series) => string): Markup {
  return dataTable(
    'Latency as the client sees it',
    ['', 'p50', 'p90', 'p99', 'p99.9', 'max', 'Rate', 'Requests', 'Failed', words('Starts')],
    series.map((one) => [
      nameOf(one),
      milliseconds(one.latencyMs.p50),
      milliseconds(one.latencyMs.p90),
      milliseconds(one.latencyMs.p99),
      milliseconds(one.latencyMs.p999),
      milliseconds(one.latencyMs.max),
      perSecond(one.ratePerSecond),
      digits(one.requests),
      one.failures > 0 ? markup`<span class="missed">${digits(one.failures)}</span>` : '0',
      words(countsOf(one.starts)),
    ]),
  );
}

/** The first few failures in their own words. */
export function failuresOf(series: readonly Series[]): Markup | false {
  const failed = series.filter(({ failureSamples }) => failureSamples.length > 0);
  return (
    failed.length > 0 &&
    markup`<details class="note"><summary>What failed</summary><ul>${failed.flatMap((one) =>
      one.failureSamples.map((sample) => markup`<li>${one.name}: <code>${sample}</code></li>`),
    )}</ul></details>`
  );
}

function phasesTable(all: readonly Series[]): Markup {
  const series = all.filter(({ phaseMs }) => Object.keys(phaseMs).length > 0);
  const names = [...new Set(series.flatMap((one) => segmentsOf(one).map(({ name }) => name)))];
  const hasInit = series.some(({ initMs }) => initMs);
  return dataTable(
    'Medians of the phases',
    ['', ...names, ...(hasInit ? ['initialisation'] : [])],
    series.map((one) => [
      one.workload,
      ...names.map((name) => {
        const segment = segmentsOf(one).find((found) => found.name === name);
        return segment ? milliseconds(segment.ms) : '';
      }),
      ...(hasInit ? [one.initMs ? milliseconds(one.initMs.p50) : ''] : []),
    ]),
  );
}

function howOf(series: readonly Series[]): string {
  const kinds = [...new Set(series.map(({ generator }) => `${generator} loop`))];
  const seconds = [...new Set(series.map((one) => duration(one.seconds)))];
  return [...kinds, ...(seconds.length === 1 ? seconds : [])].join(', ');
}
