import { readdir, readFile } from 'node:fs/promises';
import { cgroupDirectories, zoneProcesses } from '../../loadtest/machine/instance.ts';
import type { Config } from '../../services/shared/config.ts';
import { leftovers } from '../support/platform.ts';

/** What runs, or lies about, of a platform that serves and that nobody answers for, in sentences. */
export async function orphansOfRunning(config: Config, launcher: number | undefined): Promise<string[]> {
  const processes = await zoneProcesses(config.instance);
  const directories = await cgroupDirectories(config.instance);
  const zonesWithAgent = new Set<string>();
  const orphans: string[] = [];
  for (const { pid, parentPid, zone, leaf, name } of processes) {
    if (leaf !== 'agent' || name !== 'agent') continue;
    if (parentPid === launcher) zonesWithAgent.add(zone);
    // Its init is its own, and reaps.
    else if (!processes.some((other) => other.pid === parentPid))
      orphans.push(`agent ${pid} of ${zone} has the parent ${parentPid}, and the launcher is ${launcher}`);
  }
  for (const { pid, zone, leaf, name } of processes)
    if (!zonesWithAgent.has(zone))
      orphans.push(`process ${pid} (${name}) is in ${zone}/${leaf}, without an agent`);
  for (const path of directories) {
    const zone = /\/(zone\d+)(\/|$)/.exec(path)?.[1];
    if (zone !== undefined && !zonesWithAgent.has(zone)) orphans.push(`${path} is of no zone`);
  }
  return orphans;
}

/** What is left of a platform that has been stopped. */
export async function orphansOfStopped(config: Config): Promise<string[]> {
  const { processes, cgroups } = await leftovers(config);
  const files = await readdir(config.runDir).catch(() => []);
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${config.ONCEBOX_DATA_DIR}/`));
  const temporary = (await readdir(config.redisDir, { recursive: true }).catch(() => [])).filter((name) =>
    name.includes('temp-'),
  );
  return [
    ...processes.map((pid) => `process ${pid}`),
    ...cgroups.map((path) => `cgroup ${path}`),
    ...files.map((name) => `${config.runDir}/${name}`),
    ...temporary.map((name) => `${config.redisDir}/${name}`),
    ...mounts.map((path) => `mount ${path}`),
  ];
}
