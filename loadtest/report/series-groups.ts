import { groupBy } from './group-by.ts';
import type { Series } from './schema.ts';

/** Loads that differ in their workload alone, such as those of `warm` with 32 at once. */
export interface SeriesGroup {
  title: string;
  series: Series[];
}

/** Loads that differ in their concurrency alone, ascending. */
export interface Sweep {
  workload: string;
  series: Series[];
}

/** From so many settings of concurrency on they are a curve. */
const sweepMin = 3;

/** Tells what belongs in one plot: loads at one setting, and sweeps over concurrency. */
export function groupSeries(series: readonly Series[]): { groups: SeriesGroup[]; sweeps: Sweep[] } {
  const sweeps: Sweep[] = [];
  const single: Series[] = [];
  for (const named of groupBy(series, ({ name }) => name).values()) {
    const settings = new Set(named.flatMap(({ concurrency }) => concurrency ?? []));
    if (settings.size >= sweepMin) {
      const ascending = named.toSorted((a, b) => (a.concurrency ?? 0) - (b.concurrency ?? 0));
      sweeps.push({ workload: named[0]?.workload ?? '', series: ascending });
      continue;
    }
    single.push(...named);
  }
  const groups = groupBy(single, settingOf);
  return { groups: [...groups].map(([title, members]) => ({ title, series: members })), sweeps };
}

/** A name for people, unique in a report. */
export function fullName({ name, concurrency }: Series): string {
  return concurrency === undefined ? name : `${name}, ${concurrency} at once`;
}

/** What is left of its name without the workload. */
function settingOf({ name, workload, generator, concurrency, targetRate }: Series): string {
  const at = workload === '' ? -1 : name.lastIndexOf(workload);
  const rest = at < 0 ? name : `${name.slice(0, at).trimEnd()}${name.slice(at + workload.length)}`;
  const setting = [rest.trim()];
  if (concurrency !== undefined) setting.push(`${concurrency} at once`);
  else if (generator === 'open' && targetRate !== undefined)
    setting.push(`${targetRate.toFixed(0)} per second`);
  return setting.join(', ');
}
