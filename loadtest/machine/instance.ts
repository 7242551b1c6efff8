import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A process in the cgroups of a platform: of a zone itself, or of one of its sandboxes. */
export interface ZoneProcess {
  pid: number;
  parentPid: number;
  /** Cgroup of its zone. */
  zone: string;
  /** `agent`, `zygote`, or that of a sandbox. */
  leaf: string;
  /** Last part of its program's path, such as `node`; empty where it cannot be read. */
  program: string;
  name: string;
}

/** What runs in the cgroups of the platform with this instance name, now. */
export async function zoneProcesses(instance: string): Promise<ZoneProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => zoneProcess(pid, instance)));
  return found.filter((one) => one !== undefined);
}

/** Its agents or its zygotes: not what one has just forked, which is in that one's cgroup until it is in its own. */
export async function zoneKeepers(instance: string, leaf: 'agent' | 'zygote'): Promise<ZoneProcess[]> {
  const there = (await zoneProcesses(instance)).filter((one) => one.leaf === leaf);
  const pids = new Set(there.map(({ pid }) => pid));
  return there.filter(({ parentPid }) => !pids.has(parentPid));
}

/** Directories that the platform has in the hierarchy of its memory accounts. */
export async function cgroupDirectories(instance: string): Promise<string[]> {
  for (const hierarchy of ['memory', '']) {
    const root = join('/sys/fs/cgroup', hierarchy, 'oncebox', instance);
    try {
      const entries = await readdir(root, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isDirectory())
        .map(({ parentPath, name }) => join(parentPath, name));
    } catch {
      // Not this hierarchy, or nothing is left of it.
    }
  }
  return [];
}

async function zoneProcess(pid: number, instance: string): Promise<ZoneProcess | undefined> {
  try {
    const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
    const [, zone, leaf] = new RegExp(`/oncebox/${instance}/([^/\n]+)/([^/\n]+)`).exec(cgroups) ?? [];
    if (zone === undefined || leaf === undefined) return undefined;
    const program = basename(await readlink(`/proc/${pid}/exe`).catch(() => ''));
    const name = (await readFile(`/proc/${pid}/comm`, 'utf8')).trim();
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const parentPid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return { pid, parentPid, zone, leaf, program, name };
  } catch {
    // It has ended.
    return undefined;
  }
}
