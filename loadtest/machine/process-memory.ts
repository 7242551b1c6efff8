import { readFile } from 'node:fs/promises';
import type { Platform } from '../../services/up/platform.ts';
import { type ZoneProcess, zoneProcesses } from './instance.ts';

/** Resident memory of the platform's own processes, bytes, by part; all agents together are one part. */
export async function residentBytes({ pids, config }: Platform): Promise<Record<string, number>> {
  const parts: [string, number][] = [];
  for (const [name, pid] of Object.entries(pids())) {
    if (pid !== undefined) parts.push([name, await residentOf(pid)]);
  }
  const inZones = await zoneProcesses(config.instance);
  for (const part of ['agent', 'zygote']) {
    const ours = firstOfEachZone(inZones.filter(({ leaf }) => leaf === part));
    const bytes = await Promise.all(ours.map(({ pid }) => residentOf(pid)));
    parts.push([`${part}s`, bytes.reduce((sum, value) => sum + value, 0)]);
  }
  return Object.fromEntries(parts);
}

/** An agent's cgroup has the inits of sandboxes too, and a zygote's for a moment its children: both come later. */
function firstOfEachZone(processes: readonly ZoneProcess[]): ZoneProcess[] {
  const first = new Map<string, ZoneProcess>();
  for (const one of processes) {
    const known = first.get(one.zone);
    if (!known || one.pid < known.pid) first.set(one.zone, one);
  }
  return [...first.values()];
}

/** 0 when it has ended. */
async function residentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}
