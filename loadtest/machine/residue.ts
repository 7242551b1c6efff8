import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Platform } from '../../services/up/platform.ts';
import { cgroupDirectories, zoneProcesses } from './instance.ts';

/** What can be left behind, counted. */
export type Residue = Record<string, number>;

/** What the platform holds now; with its sandboxes parked, it is the same before a load and some time after. */
export async function platformResidue({ pids, config }: Platform): Promise<Residue> {
  const [processes, cgroups, files] = await Promise.all([
    zoneProcesses(config.instance),
    cgroupDirectories(config.instance),
    readdir(config.ONCEBOX_DATA_DIR, { recursive: true }),
  ]);
  const residue: Residue = {
    'sandbox processes': processes.length,
    'cgroup directories': cgroups.length,
    // Redis replaces its files by others as they grow.
    'temporary files': files.filter((path) => !path.startsWith('redis/')).length,
    mounts: await mountsOf('self'),
  };
  for (const [name, pid] of Object.entries(pids())) {
    if (pid !== undefined) residue[`open files of ${name}`] = await openFiles(pid);
  }
  const agents = processes.filter(({ leaf, name }) => leaf === 'agent' && name === 'agent');
  const opened = await Promise.all(agents.map(({ pid }) => openFiles(pid)));
  residue['open files of agents'] = opened.reduce((sum, count) => sum + count, 0);
  const mounted = await Promise.all(agents.map(({ pid }) => mountsOf(`${pid}`)));
  residue['mounts of zones'] = mounted.reduce((sum, count) => sum + count, 0);
  return residue;
}

/** What is left of it on the host once it has been stopped: every count should be 0. */
export async function hostResidue(config: Platform['config']): Promise<Residue> {
  return {
    'processes after the stop': (await zoneProcesses(config.instance)).length,
    'cgroup directories after the stop': (await cgroupDirectories(config.instance)).length,
  };
}

/** Counts until nothing is more than `before`, or `withinMs` have passed; the last count. */
export async function settledResidue(
  platform: Platform,
  before: Residue,
  withinMs: number,
  signal: AbortSignal,
): Promise<Residue> {
  for (const deadline = performance.now() + withinMs; ; ) {
    const now = await platformResidue(platform);
    const isSettled = Object.entries(now).every(([name, count]) => count <= (before[name] ?? 0));
    if (isSettled || performance.now() > deadline) return now;
    await delay(500, undefined, { signal });
  }
}

async function openFiles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
}

async function mountsOf(pid: string): Promise<number> {
  const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');
  return mounts.split('\n').length - 1;
}
