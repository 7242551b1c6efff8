import type { Ratio, Report, Series, Timeline } from './report/schema.ts';
import { lineOf } from './report/statistics.ts';
import { initialisationCpuMs } from './workloads/heavy-function.ts';
import { type LoadRuntime, loadRuntimes } from './workloads/snippets.ts';

/** What ratios are made of: all of it from one run, so that they hold on any machine. */
export type Measured = Pick<Report, 'floors' | 'controls' | 'series' | 'density' | 'timelines' | 'residue'>;

const MiB = 1024 * 1024;
const slopeMaxMiB: Record<LoadRuntime, number> = { node: 2, python: 1.5 };
const aliveMin = 2000;
/** Share of the variance that a line through the points has to explain. */
const straightMin = 0.95;
/** Memory of a process that does not leak still varies by so much from the beginning of a load to its end. */
const flatMax = 1.1;
const soakMinSeconds = 300;

/** The platform's targets and other ratios, as far as the run has what they are made of. */
export function ratiosOf(measured: Measured): Ratio[] {
  return [
    ...loadRuntimes.flatMap((runtime) => [
      ...confinementRatios(measured, runtime),
      ...latencyRatios(measured, runtime),
      ...throughputRatios(measured, runtime),
      ...densityRatios(measured, runtime),
    ]),
    ...soakRatios(measured),
  ];
}

/** What our seccomp filters add to a sandbox: to load them for each, and to ask them at every call. */
function confinementRatios({ floors }: Measured, runtime: LoadRuntime): Ratio[] {
  const filtered = floors.find(({ name }) => name === `sandbox ${runtime}`);
  const unfiltered = floors.find(({ name }) => name === `sandbox ${runtime}, no seccomp`);
  if (!filtered || !unfiltered) return [];
  const sides = { of: filtered.name, to: unfiltered.name };
  const ratios = [
    {
      name: `${runtime}: p50 with seccomp to without`,
      value: filtered.latencyMs.p50 / unfiltered.latencyMs.p50,
      ...sides,
    },
  ];
  if (filtered.ratePerSecond && unfiltered.ratePerSecond) {
    const value = filtered.ratePerSecond / unfiltered.ratePerSecond;
    ratios.push({ name: `${runtime}: rate with seccomp to without`, value, ...sides });
  }
  return ratios;
}

function latencyRatios({ floors, controls, series }: Measured, runtime: LoadRuntime): Ratio[] {
  const warm = seriesNamed(series, `warm ${runtime}`);
  const forked = seriesNamed(series, `fork ${runtime}`);
  const empty = seriesNamed(series, `warm function ${runtime}`);
  const heavy = seriesNamed(series, `warm function ${runtime}, ${initialisationCpuMs} ms of imports`);
  const queue = floors.find(({ name }) => name === 'BullMQ round trip');
  const ratios: Ratio[] = [];
  if (warm && queue) {
    const value = warm.latencyMs.p50 / queue.latencyMs.p50;
    ratios.push(
      judged([warm], `${runtime}, warm: p50 to the queue's`, value, '<=', 3, warm.name, queue.name),
    );
  }
  if (warm) {
    const value = warm.latencyMs.p99 / warm.latencyMs.p50;
    ratios.push(judged([warm], `${runtime}, warm: p99 to p50`, value, '<=', 4, warm.name, 'its p50'));
  }
  if (warm && forked) {
    const value = forked.latencyMs.p50 / warm.latencyMs.p50;
    const ratio = judged(
      [warm, forked],
      `${runtime}, fork: p50 to warm`,
      value,
      '<=',
      2,
      forked.name,
      warm.name,
    );
    // A pool that was not empty flatters.
    const isPure = Object.keys(forked.starts).every((kind) => kind === 'fork');
    ratios.push(isPure ? ratio : { ...ratio, met: false });
  }
  if (empty && heavy) {
    const value = heavy.latencyMs.p50 / empty.latencyMs.p50;
    const name = `${runtime}, ${initialisationCpuMs} ms of imports: p50 to an empty function's`;
    ratios.push(judged([empty, heavy], name, value, '<=', 1.5, heavy.name, empty.name));
  }
  for (const control of controls) {
    if (!warm || !control.latencyMs || !control.name.endsWith(`, ${runtime}`)) continue;
    const value = control.latencyMs.p50 / warm.latencyMs.p50;
    ratios.push({ name: `${control.name}: p50 to ours, warm`, value, of: control.name, to: warm.name });
  }
  return ratios;
}

function throughputRatios({ floors, controls, series }: Measured, runtime: LoadRuntime): Ratio[] {
  const loaded = series
    .filter(({ name }) => name === `warm ${runtime}, without pauses`)
    .find(({ concurrency }) => concurrency === 32);
  if (!loaded) return [];
  const of = `${loaded.name}, 32 at once`;
  const ratios: Ratio[] = [];
  const floor = floors.find(({ name }) => name === `sandbox ${runtime}`);
  if (floor?.ratePerSecond) {
    const value = loaded.ratePerSecond / floor.ratePerSecond;
    ratios.push(
      judged(
        [loaded],
        `${runtime}, 32 at once: rate to the bare sandbox's`,
        value,
        '>=',
        0.6,
        of,
        floor.name,
      ),
    );
  }
  const docker = controls.find(({ name }) => name === `docker run --rm, ${runtime}`);
  if (docker?.ratePerSecond) {
    const value = loaded.ratePerSecond / docker.ratePerSecond;
    ratios.push(
      judged([loaded], `${runtime}, 32 at once: rate to docker's`, value, '>=', 60, of, docker.name),
    );
  }
  return ratios;
}

function densityRatios({ density }: Measured, runtime: LoadRuntime): Ratio[] {
  const found = density.find(({ workload }) => workload === runtime);
  if (!found) return [];
  const of = `density ${runtime}`;
  const line = lineOf(found.points.map(({ alive, unavailableBytes }) => [alive, unavailableBytes]));
  const charged = lineOf(found.points.map(({ alive, cgroupBytes }) => [alive, cgroupBytes]));
  const memory = `${runtime}: memory of one more`;
  const ratios: Ratio[] = [
    // What all processes of the machine take is in this figure: without a line there is no verdict.
    line.r2 >= straightMin
      ? judged([], memory, line.slope / MiB, '<=', slopeMaxMiB[runtime], of, '1 MiB')
      : { name: `${memory} (no straight line)`, value: line.slope / MiB, of, to: '1 MiB' },
    { name: `${memory}, charged to cgroups`, value: charged.slope / MiB, of, to: '1 MiB' },
  ];
  const most = found.points.reduce((best, point) => (point.answering > best.answering ? point : best));
  const everyOneAnswered = found.points.every(({ alive, answering }) => answering === alive);
  // Fewer were asked for, and all of them did.
  if (most.alive < aliveMin && everyOneAnswered) return ratios;
  ratios.push(judged([], `${runtime}: alive and answering`, most.answering, '>=', aliveMin, of, 'one'));
  return ratios;
}

function soakRatios({ series, timelines, residue }: Measured): Ratio[] {
  const load = seriesNamed(series, 'soak');
  if (!load) return [];
  const ratios: Ratio[] = [];
  const rate = timelines.find(({ name }) => name === 'soak, rate');
  if (rate) {
    const value = tenth(rate.points, 9) / tenth(rate.points, 0);
    ratios.push(overTime(load, 'soak: rate of the last tenth', value, '>=', 0.9, rate, 'the first tenth'));
  }
  for (const memory of timelines.filter(({ name }) => name.startsWith('soak, memory of '))) {
    // The first tenth is a warm-up: heaps and pools grow to the size that the load needs.
    const value = tenth(memory.points, 9) / tenth(memory.points, 1);
    const name = `${memory.name}, last tenth`;
    ratios.push(overTime(load, name, value, '<=', flatMax, memory, 'the second tenth'));
  }
  if (residue) {
    const left = Object.entries(residue.after).map(([name, count]) =>
      Math.max(0, count - (residue.before[name] ?? 0)),
    );
    const value = left.reduce((sum, count) => sum + count, 0);
    ratios.push(judged([load], 'soak: left behind', value, '<=', 0, 'after the load', 'before it'));
  }
  return ratios;
}

/** Without a verdict for a load that was too short to tell growth from warming up. */
function overTime(
  load: Series,
  name: string,
  value: number,
  op: '<=' | '>=',
  target: number,
  of: Timeline,
  to: string,
): Ratio {
  const [lastAt = 0] = of.points.at(-1) ?? [];
  if (lastAt < soakMinSeconds) return { name, value, of: of.name, to };
  return judged([load], name, value, op, target, of.name, to);
}

function judged(
  loads: readonly Series[],
  name: string,
  value: number,
  op: '<=' | '>=',
  target: number,
  of: string,
  to: string,
): Ratio {
  const isWithin = op === '<=' ? value <= target : value >= target;
  // A load with a failed request meets no target.
  const met = isWithin && loads.every(({ failures }) => failures === 0);
  return { name, value, target: { op, value: target }, met, of, to };
}

function seriesNamed(series: readonly Series[], wanted: string): Series | undefined {
  return series.find(({ name, requests }) => name === wanted && requests > 0);
}

/** Mean of the points in one tenth of a timeline; NaN without any. */
function tenth(points: readonly (readonly [number, number])[], index: number): number {
  const from = Math.floor((points.length * index) / 10);
  const values = points.slice(from, Math.max(from + 1, Math.floor((points.length * (index + 1)) / 10)));
  return values.reduce((sum, [, value]) => sum + value, 0) / values.length;
}
