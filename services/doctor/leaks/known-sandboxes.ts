import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { cgroupNameOf, isCgroupName } from '../../../runtime/sandbox/cgroup-name.ts';
import { createClient } from '../../../sdk/client.ts';
import type { HostProcesses, Launcher } from './host-processes.ts';
import type { Leak } from './leak.ts';

/**
 * Holds what workers of this machine say they have against the cgroups that the kernel has. A sandbox's id ends with its
 * number in its zone, which its cgroup has too. Rejects when the platform does not answer.
 */
export async function unknownSandboxes(
  host: () => HostProcesses,
  url: string,
  signal?: AbortSignal,
): Promise<{ leaks: Leak[]; instances: string[] }> {
  const client = createClient(url);
  const options = signal && { signal };
  const [nodes, { sandboxes }] = await Promise.all([client.nodes(options), client.sandboxes(options)]);
  const processes = host();
  const leaks: Leak[] = [];
  const instances: string[] = [];
  for (const { node, pid } of nodes) {
    if (!node.startsWith(`${hostname()}-`)) continue;
    const launcher = launcherOfWorker(processes, pid);
    if (!launcher) continue;
    const { instance } = launcher;
    instances.push(instance);
    const known = sandboxes.filter((sandbox) => sandbox.node === node).map(({ id }) => cgroupNameOf(id));
    const inKernel = new Set<string>();
    for (const { cgroup } of processes.all.values()) {
      if (cgroup?.instance === instance && isCgroupName(cgroup.leaf))
        inKernel.add(`${cgroup.zone}/${cgroup.leaf}`);
    }
    const leaves = [...inKernel].map((path) => path.split('/')[1] as string);
    for (const leaf of difference(leaves, known)) {
      leaks.push({
        kind: 'sandbox unknown to its worker',
        key: `unknown ${instance} ${leaf}`,
        what: `${[...inKernel].filter((path) => path.endsWith(`/${leaf}`)).join(' or ')}: it runs, and its worker (${node}) does not know it`,
        remedy: `it ends with its zone; restarting process ${pid} (the worker) ends all zones of it`,
        instance,
      });
    }
    for (const leaf of difference(known, leaves)) {
      leaks.push({
        kind: 'sandbox unknown to the kernel',
        key: `missing ${instance} ${leaf}`,
        what: `${leaf}: the worker (${node}) lists it, and no process is in it`,
        remedy: `restart process ${pid} (the worker)`,
        instance,
      });
    }
  }
  return { leaks, instances };
}

/** A worker finds its launcher in its data directory, which its settings name. */
function launcherOfWorker(processes: HostProcesses, worker: number): Launcher | undefined {
  try {
    const environment = readFileSync(`/proc/${worker}/environ`, 'utf8').split('\0');
    const dataDir = environment.find((variable) => variable.startsWith('ONCEBOX_DATA_DIR='))?.split('=')[1];
    return [...processes.launchers.values()].find(({ runDir }) => runDir === `${dataDir}/run`);
  } catch {
    // It has ended, or we are not root.
    return undefined;
  }
}

/** Zones count their sandboxes alike, so a name may be there more than once. */
function difference(from: readonly string[], other: readonly string[]): string[] {
  const left = [...from];
  for (const name of other) {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}
