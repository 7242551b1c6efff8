import { type Comparison, compare, type LoadPair, warningsOf } from './comparison.ts';
import { bytes, change, digits, milliseconds, moment, perSecond } from './figures.ts';
import { dataTable, type Markup, markup, words } from './markup.ts';
import { type Change, noiseRule } from './noise.ts';
import { renderPage } from './page.ts';
import { renderPlot } from './plot.ts';
import { latencyCdfPlot } from './plots/latency-cdf.ts';
import type { Report } from './schema.ts';

/** What changed from report `a` to report `b`, as one HTML page that needs no network. */
export function renderComparisonHtml(a: Report, b: Report): string {
  const comparison = compare(a, b);
  return renderPage({
    title: 'oncebox load tests compared',
    subtitle: `revision ${a.machine.revision}, ${moment(a.at)} → revision ${b.machine.revision}, ${moment(b.at)}`,
    sections: [
      warningsSection(comparison),
      machineSection(comparison),
      floorsSection(comparison),
      loadsSection(comparison),
      ratiosSection(comparison),
      densitySection(comparison),
      curvesSection(comparison),
      markup`<section><h2>What counts as a change</h2><p>${noiseRule.join(' ')}</p></section>`,
    ],
  });
}

function warningsSection(comparison: Comparison): Markup | undefined {
  const warnings = warningsOf(comparison);
  if (warnings.length === 0) return undefined;
  return markup`<section><ul>${warnings.map((warning) => markup`<li>${warning}</li>`)}</ul></section>`;
}

function machineSection({ machine }: Comparison): Markup | undefined {
  if (machine.length === 0) return undefined;
  return markup`<section><h2>What differs of the machines</h2>${dataTable(
    'As each report describes its own',
    ['', words('First'), words('Second')],
    machine.map(({ name, a, b }) => [name, words(a), words(b)]),
  )}</section>`;
}

function floorsSection({ floors }: Comparison): Markup | undefined {
  if (floors.length === 0) return undefined;
  return markup`<section><h2>Floors</h2>${dataTable(
    'Medians: how quick the machine itself was',
    ['', 'First', 'Second', 'Change'],
    floors.map(({ name, p50 }) => [name, ...cells(p50, milliseconds, 'less')]),
  )}</section>`;
}

function loadsSection({ loads }: Comparison): Markup | undefined {
  if (loads.length === 0) return undefined;
  return markup`<section><h2>Loads</h2>${dataTable(
    'Greyed changes are within noise. “To floors”: the change of p50 divided by that of the floors',
    ['', 'p50 was', 'is', 'Change', 'To floors', 'p99 was', 'is', 'Change', 'Rate was', 'is', 'Change'],
    loads.map(({ name, p50, p99, rate, p50ToFloors }) => [
      name,
      ...cells(p50, milliseconds, 'less'),
      p50ToFloors ? changeCell(p50ToFloors, 'less') : '',
      ...cells(p99, milliseconds, 'less'),
      ...cells(rate, perSecond, 'more'),
    ]),
  )}</section>`;
}

function ratiosSection({ ratios }: Comparison): Markup | undefined {
  if (ratios.length === 0) return undefined;
  return markup`<section><h2>Ratios</h2>${dataTable(
    'Each from one run: they hold on different machines, too',
    ['', words('Of'), words('To'), 'First', 'Second', 'Change', 'Target'],
    ratios.map(({ ratio, value, metBefore }) => [
      ratio.name,
      words(ratio.of),
      words(ratio.to),
      // Which way is better is known only where there is a target.
      ...cells(value, digits, ratio.target ? (ratio.target.op === '<=' ? 'less' : 'more') : undefined),
      ratio.met === undefined ? '' : `${metText(metBefore)} → ${metText(ratio.met)}`,
    ]),
  )}</section>`;
}

function densitySection({ density }: Comparison): Markup | undefined {
  if (density.length === 0) return undefined;
  return markup`<section><h2>Density</h2>${dataTable(
    'Memory that one more sandbox takes',
    ['', 'First', 'Second', 'Change'],
    density.map(({ workload, slopeBytes }) => [workload, ...cells(slopeBytes, bytes, 'less')]),
  )}</section>`;
}

function curvesSection({ loads }: Comparison): Markup | undefined {
  const drawn = loads.filter((pair) => [pair.a, pair.b].every(({ latencyCdf }) => latencyCdf.length > 1));
  if (drawn.length === 0) return undefined;
  return markup`<section><h2>Distributions</h2><div class="plots">${drawn.map(curvePlot)}</div></section>`;
}

function curvePlot({ name, a, b }: LoadPair): Markup {
  const plot = latencyCdfPlot([
    { name: 'first', colour: 'var(--c8)', series: a, isDashed: true },
    { name: 'second', colour: 'var(--c1)', series: b },
  ]);
  // The same for all of them.
  const { caption: _, ...drawn } = plot;
  return renderPlot({ ...drawn, title: name });
}

function cells(
  value: Change,
  figure: (value: number) => string,
  better: 'less' | 'more' | undefined,
): (string | Markup)[] {
  return [figure(value.before), figure(value.after), changeCell(value, better)];
}

function changeCell({ change: by, isNoise }: Change, better: 'less' | 'more' | undefined): Markup | string {
  if (isNoise) return markup`<span class="noise">${change(by)}</span>`;
  if (!better) return change(by);
  return by < 0 === (better === 'less')
    ? markup`<span class="met">${change(by)}</span>`
    : markup`<span class="missed">${change(by)}</span>`;
}

function metText(met: boolean | undefined): string {
  return met === undefined ? '–' : met ? 'met' : 'not met';
}
