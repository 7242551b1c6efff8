import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Machine } from './machine.ts';

/** Above these the figures say as much of the neighbours as of the platform. */
const loadPerCoreMax = 0.5;
const stolenMax = 0.05;

/** Counters that tell whether somebody else had the processors while we measured. */
interface Contention {
  /** Clock ticks, of all processors together. */
  totalTicks: number;
  stolenTicks: number;
  /** Periods in which our own cgroup was held back, or null where it has no quota. */
  throttledPeriods: number | null;
}

export function readContention(): Contention {
  const ticks = (/^cpu +(.*)$/m.exec(read('/proc/stat') ?? '')?.[1] ?? '').split(' ').map(Number);
  const stat = ownCpuStat();
  return {
    // proc_stat(5): guest time, the last two, is in user time already.
    totalTicks: ticks.slice(0, 8).reduce((sum, value) => sum + value, 0),
    stolenTicks: ticks[7] ?? 0,
    throttledPeriods: stat === undefined ? null : Number(/^nr_throttled (\d+)$/m.exec(stat)?.[1] ?? 0),
  };
}

/** Share of processor time that the hypervisor gave to others, between two readings, 0 to 1. */
function stolenShare(before: Contention, after: Contention): number {
  const total = after.totalTicks - before.totalTicks;
  return total > 0 ? (after.stolenTicks - before.stolenTicks) / total : 0;
}

/** What a reader of the figures has to know of the neighbours. */
export function contentionNotes(
  { loadBefore, cores }: Machine,
  before: Contention,
  after: Contention,
): string[] {
  const notes: string[] = [];
  if (loadBefore[0] > loadPerCoreMax * cores) {
    notes.push(
      `the load was ${loadBefore[0]} on ${cores} cores before anything began: others were at work, and the figures show it`,
    );
  }
  const stolen = stolenShare(before, after);
  if (stolen > stolenMax) {
    notes.push(`the hypervisor gave ${(stolen * 100).toFixed(0)} % of the processors' time to others`);
  }
  return notes;
}

/** What held the processors back, in words; null when nothing is to be seen. */
export function describeThrottling(before: Contention, after: Contention): string | null {
  const parts = [];
  const stolen = stolenShare(before, after);
  if (stolen >= 0.001) parts.push(`${(stolen * 100).toFixed(1)} % stolen by the hypervisor`);
  const throttled = (after.throttledPeriods ?? 0) - (before.throttledPeriods ?? 0);
  if (throttled > 0) parts.push(`our cgroup throttled in ${throttled} periods`);
  const frequency = frequencies();
  if (frequency) parts.push(frequency);
  return parts.length > 0 ? parts.join(', ') : null;
}

/** Absent in most virtual machines. */
function frequencies(): string | undefined {
  const file = (name: string) => read(`/sys/devices/system/cpu/cpu0/cpufreq/${name}`)?.trim();
  const governor = file('scaling_governor');
  const [current, max] = [Number(file('scaling_cur_freq')), Number(file('cpuinfo_max_freq'))];
  if (governor === undefined || !(current > 0) || !(max > 0)) return undefined;
  return `governor ${governor}, ${Math.round(current / 1000)} of ${Math.round(max / 1000)} MHz, ${cpus().length} processors`;
}

/** cgroup v2 first: on hybrid hosts its path is `/` and has no such file. */
function ownCpuStat(): string | undefined {
  const lines = (read('/proc/self/cgroup') ?? '').trim().split('\n');
  for (const line of lines.reverse()) {
    const [, controllers = '', path = '/'] = line.split(':');
    const isV2 = controllers === '';
    if (!isV2 && !controllers.split(',').includes('cpu')) continue;
    const mounts = isV2 ? ['/sys/fs/cgroup'] : ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu,cpuacct'];
    for (const mount of mounts) {
      // Inside a container the path may be the host's: then our own is the root of the mount.
      const stat = read(join(mount, path, 'cpu.stat')) ?? read(join(mount, 'cpu.stat'));
      if (stat?.includes('nr_throttled')) return stat;
    }
  }
  return undefined;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
