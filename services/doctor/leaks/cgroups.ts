import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { HostProcesses } from './host-processes.ts';
import type { Leak } from './leak.ts';
import { cgroupMounts } from './mount-table.ts';

/** Where cgroup hierarchies are mounted. */
export const cgroupRoots = (): string[] => [...new Set(cgroupMounts().map(({ point }) => point))];

/**
 * Directories below `oncebox/` that nobody owns: of an instance without a launcher, of a zone that has ended, and of
 * sandboxes in which no process is. One entry for a directory, however many hierarchies it is left in.
 */
export function strayCgroups(host: HostProcesses): Leak[] {
  const found = new Map<string, { leak: Leak; places: string[] }>();
  const note = (leak: Leak, place: string) => {
    const known = found.get(leak.key) ?? { leak, places: [] };
    known.places.push(place);
    found.set(leak.key, known);
  };
  const mounts = cgroupRoots();
  // Before the processes are: what is made meanwhile has one by then.
  const trees = mounts.map((mount) => ({ mount, instances: listTree(join(mount, 'oncebox')) }));
  const zones = new Set<string>();
  const inhabited = new Set<string>();
  const agents = new Map<string, number>();
  for (const process of host.all.values()) {
    if (!process.cgroup) continue;
    const { instance, zone, leaf } = process.cgroup;
    inhabited.add(`${instance}/${zone}/${leaf}`);
    const home = `${instance}/${zone}`;
    if (leaf === 'agent') agents.set(home, (agents.get(home) ?? 0) + 1);
    if (host.launcherOf(process)?.instance === instance) zones.add(`${instance}/${zone}`);
  }
  for (const { mount, instances } of trees) {
    for (const [instance, zonesOf] of instances) {
      const place = join(mount, 'oncebox', instance);
      if (!host.instances.has(instance)) {
        note(
          cgroupLeak(
            'cgroup of no instance',
            instance,
            `instance ${instance}, which no launcher serves`,
            place,
          ),
          place,
        );
        continue;
      }
      for (const [zone, leaves] of zonesOf) {
        if (!zones.has(`${instance}/${zone}`)) {
          note(
            cgroupLeak(
              'cgroup of no zone',
              `${instance}/${zone}`,
              `${zone}, which has ended`,
              join(place, zone),
            ),
            join(place, zone),
          );
          continue;
        }
        const sandboxes = leaves.filter((leaf) => /^s\d+$/.test(leaf));
        // A sandbox whose fork is waited for, or that is being taken away, has an init, beside the agent.
        const inits = (agents.get(`${instance}/${zone}`) ?? 1) - 1;
        const empty = sandboxes.filter((leaf) => !inhabited.has(`${instance}/${zone}/${leaf}`));
        for (const leaf of oldestFirst(empty).slice(0, Math.max(0, sandboxes.length - inits))) {
          const path = join(place, zone, leaf);
          note(
            cgroupLeak(
              'empty sandbox cgroup',
              `${instance}/${zone}/${leaf}`,
              `sandbox ${leaf} of ${zone}, in which no process is`,
              path,
            ),
            path,
          );
        }
      }
    }
  }
  return [...found.values()].map(({ leak, places }) => ({
    ...leak,
    what: `${leak.what}: ${places.join(', ')}`,
    path: places[0] as string,
  }));
}

/** Their numbers only grow. */
const oldestFirst = (leaves: readonly string[]) =>
  leaves.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)));

function cgroupLeak(kind: Leak['kind'], name: string, what: string, path: string): Leak {
  return {
    kind,
    key: `cgroup ${name}`,
    what: `cgroup of ${what}`,
    remedy:
      'the instance takes it away when it starts or stops; by hand: end its processes, then rmdir from the leaves up',
    instance: name.split('/')[0] as string,
    path,
  };
}

/** Instances, their zones and what is in those. */
function listTree(root: string): Map<string, Map<string, string[]>> {
  return new Map(
    directories(root).map((instance) => {
      const zones = directories(join(root, instance));
      return [instance, new Map(zones.map((zone) => [zone, directories(join(root, instance, zone))]))];
    }),
  );
}

/** None where there is no such directory, or no longer. */
function directories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
