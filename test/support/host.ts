import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What an invocation could leave on the host. */
export interface HostCensus {
  processes: number;
  mounts: number;
  cgroups: number;
}

/** Counts what descends from a launcher, the mounts we see, and the launcher's cgroups: other platforms may be here too. */
export async function takeCensus(launcherPid: number): Promise<HostCensus> {
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  const command = (await readFile(`/proc/${launcherPid}/cmdline`, 'utf8')).split('\0');
  const instance = command[command.indexOf('--instance') + 1];
  return {
    processes: (await descendants(launcherPid)).length,
    mounts: mountinfo.trimEnd().split('\n').length,
    cgroups: (await onceboxCgroups()).filter((path) => path.includes(`/oncebox/${instance}/`)).length,
  };
}

/** Every process below `root`, whatever its pid namespace. */
export async function descendants(root: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    if (stat !== '') parents.set(Number(name), parent);
  }
  const found: number[] = [];
  for (let level = [root]; level.length > 0; ) {
    level = [...parents].filter(([, parent]) => level.includes(parent)).map(([pid]) => pid);
    found.push(...level);
  }
  return found;
}

/** Directories of oncebox in every cgroup hierarchy, v1 or v2. */
export async function onceboxCgroups(): Promise<string[]> {
  const hierarchies = await readdir('/sys/fs/cgroup');
  const roots = [
    '/sys/fs/cgroup/oncebox',
    ...hierarchies.map((name) => join('/sys/fs/cgroup', name, 'oncebox')),
  ];
  return (await Promise.all(roots.map(directoriesBelow))).flat();
}

/** Directories that come and go meanwhile are there or not; a recursive `readdir` would fail. */
async function directoriesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const paths = entries.filter((entry) => entry.isDirectory()).map((entry) => join(root, entry.name));
  return [...paths, ...(await Promise.all(paths.map(directoriesBelow))).flat()];
}
