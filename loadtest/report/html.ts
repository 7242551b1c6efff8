import { assignColours } from './colours.ts';
import { moment } from './figures.ts';
import { renderPage } from './page.ts';
import type { Report } from './schema.ts';
import { densitySection } from './sections/density.ts';
import { loadSection } from './sections/loads.ts';
import { machineSection } from './sections/machine.ts';
import { rampSection } from './sections/ramp.ts';
import { ratiosSection } from './sections/ratios.ts';
import { referencesSection } from './sections/references.ts';
import { notesSection, residueSection } from './sections/residue.ts';
import { timelinesSection } from './sections/timelines.ts';
import { groupSeries } from './series-groups.ts';

/** A report as one HTML page with plots, which needs no network and runs no script. */
export function renderHtml(report: Report): string {
  const { machine, series, density, floors } = report;
  const { groups, sweeps } = groupSeries(series);
  const colourOf = assignColours([...series, ...density].map(({ workload }) => workload));
  return renderPage({
    title: `oncebox load test, ${report.scenarios.join(', ')}`,
    subtitle: `${machine.cores} × ${machine.model}, Linux ${machine.kernel} · revision ${machine.revision} · ${moment(report.at)}`,
    sections: [
      ratiosSection(report),
      referencesSection(report),
      rampSection(sweeps, floors, colourOf),
      ...groups.map((group) => loadSection(group, colourOf)),
      densitySection(report, colourOf),
      timelinesSection(report, colourOf),
      residueSection(report),
      notesSection(report),
      machineSection(report),
    ],
  });
}
