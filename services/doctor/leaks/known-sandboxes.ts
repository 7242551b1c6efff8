import { hostname } from 'node:os';
import { createClient } from '../../../sdk/client.ts';
import type { HostProcesses } from './host-processes.ts';
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
    const supervisor = processes.all.get(pid)?.parent;
    if (!node.startsWith(`${hostname()}-`) || supervisor === undefined) continue;
    const launcher = [...processes.launchers.values()].find(
      ({ pid }) => processes.all.get(pid)?.parent === supervisor,
    );
    if (!launcher) continue;
    const { instance } = launcher;
    instances.push(instance);
    const known = sandboxes
      .filter((sandbox) => sandbox.node === node)
      .map(({ id }) => `s${Number.parseInt(id.split('-').at(-1) ?? '', 36)}`);
    const inKernel = new Set<string>();
    for (const { cgroup } of processes.all.values()) {
      if (cgroup?.instance === instance && /^s\d+$/.test(cgroup.leaf))
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

/** Zones count their sandboxes alike, so a name may be there more than once. */
function difference(from: readonly string[], other: readonly string[]): string[] {
  const left = [...from];
  for (const name of other) {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}
