import { type Change, changeOf, changeOfPercentile, changeOfRate } from './noise.ts';
import type { Floor, Ratio, Report, Series } from './schema.ts';
import { machineFacts } from './sections/machine.ts';
import { fullName } from './series-groups.ts';

/** Two loads of the same name and concurrency. */
export interface LoadPair {
  name: string;
  a: Series;
  b: Series;
  p50: Change;
  p99: Change;
  rate: Change;
  /** Of p50, divided by that of the floors: what is left of it when the machine's own change is taken out. */
  p50ToFloors?: Change;
}

export interface Comparison {
  /** What is not the same of the two machines. */
  machine: { name: string; a: string; b: string }[];
  floors: { name: string; p50: Change }[];
  /** Geometric mean of the floors' medians, after / before; undefined without a common floor. */
  floorFactor?: number;
  loads: LoadPair[];
  ratios: { ratio: Ratio; value: Change; metBefore?: boolean | undefined }[];
  density: { workload: string; slopeBytes: Change }[];
  /** Names of loads that only one of them has. */
  onlyA: string[];
  onlyB: string[];
}

/** Facts that differ from run to run on one machine. */
const passing = new Set(['Load before', 'Held back', 'Revision']);

/** Sets two reports side by side; `b` is the later one. */
export function compare(a: Report, b: Report): Comparison {
  const factsOfB = new Map(machineFacts(b.machine));
  const floors = pairs(a.floors, b.floors, ({ name }) => name).map(([before, after]) => ({
    name: after.name,
    p50: changeOf(before.latencyMs.p50, after.latencyMs.p50),
  }));
  const floorFactor = geometricMean(floors.map(({ p50 }) => p50.after / p50.before));
  const loads = pairs(a.series, b.series, fullName);
  const isPaired = new Set(loads.map(([before]) => fullName(before)));
  const unpaired = (series: readonly Series[]) => series.map(fullName).filter((name) => !isPaired.has(name));
  return {
    machine: machineFacts(a.machine)
      .map(([name, value]) => ({ name, a: value, b: factsOfB.get(name) ?? '' }))
      .filter((fact) => fact.a !== fact.b),
    floors,
    ...(floorFactor !== undefined && { floorFactor }),
    loads: loads.map(([before, after]) => pairOf(before, after, floorFactor)),
    ratios: pairs(a.ratios, b.ratios, ({ name, of, to }) => `${name}\n${of}\n${to}`).map(
      ([before, after]) => ({
        ratio: after,
        value: changeOf(before.value, after.value),
        metBefore: before.met,
      }),
    ),
    density: pairs(a.density, b.density, ({ workload }) => workload).map(([before, after]) => ({
      workload: after.workload,
      slopeBytes: changeOf(before.slopeBytes, after.slopeBytes),
    })),
    onlyA: unpaired(a.series),
    onlyB: unpaired(b.series),
  };
}

/** What a reader has to know before the figures. */
export function warningsOf({ machine, floorFactor, onlyA, onlyB }: Comparison): string[] {
  const warnings: string[] = [];
  const lasting = machine.filter(({ name }) => !passing.has(name));
  if (lasting.length > 0) {
    const names = lasting.map(({ name }) => name.toLowerCase()).join(', ');
    warnings.push(`The machines differ (${names}): compare what is relative to the floors, and the ratios.`);
  }
  if (floorFactor === undefined) {
    warnings.push('No floor is in both reports: a slower machine cannot be told from slower code.');
  } else if (!changeOf(1, floorFactor).isNoise) {
    const percent = Math.abs((floorFactor - 1) * 100).toFixed(0);
    warnings.push(
      `The floors are ${percent} % ${floorFactor > 1 ? 'slower' : 'quicker'} in the second report: the machine was, too.`,
    );
  }
  if (onlyA.length > 0) warnings.push(`Only in the first: ${onlyA.join(', ')}.`);
  if (onlyB.length > 0) warnings.push(`Only in the second: ${onlyB.join(', ')}.`);
  return warnings;
}

function pairOf(a: Series, b: Series, floorFactor: number | undefined): LoadPair {
  const p50 = changeOfPercentile(a, b, 'p50');
  return {
    name: fullName(b),
    a,
    b,
    p50,
    p99: changeOfPercentile(a, b, 'p99'),
    rate: changeOfRate(a, b),
    ...(floorFactor !== undefined && {
      p50ToFloors: changeOf(p50.before, p50.after / floorFactor, p50.isNoise && isNear(floorFactor)),
    }),
  };
}

function isNear(factor: number): boolean {
  return changeOf(1, factor).isNoise;
}

function pairs<Item extends Floor | Series | Ratio | Report['density'][number]>(
  before: readonly Item[],
  after: readonly Item[],
  keyOf: (item: Item) => string,
): [before: Item, after: Item][] {
  const byKey = new Map(before.map((item) => [keyOf(item), item]));
  return after.flatMap((item): [Item, Item][] => {
    const other = byKey.get(keyOf(item));
    return other ? [[other, item]] : [];
  });
}

function geometricMean(factors: readonly number[]): number | undefined {
  const usable = factors.filter((factor) => factor > 0 && Number.isFinite(factor));
  if (usable.length === 0) return undefined;
  return Math.exp(usable.reduce((sum, factor) => sum + Math.log(factor), 0) / usable.length);
}
