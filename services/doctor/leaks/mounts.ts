import type { HostProcess, HostProcesses } from './host-processes.ts';
import type { Leak } from './leak.ts';
import { type Mount, mountsOf } from './mount-table.ts';

/**
 * Mounts of ours in mount namespaces that are held by nobody of ours. A mount namespace goes with its last process, so
 * whoever is in there keeps them. The launcher lays its mounts in a namespace of its own: none belongs into the host's.
 */
export function strayMounts(host: HostProcesses, storeDirs: readonly string[]): Leak[] {
  const holders = new Map<string, HostProcess[]>();
  for (const process of host.all.values()) {
    if (process.mountNamespace === undefined || process.state === 'Z') continue;
    holders.set(process.mountNamespace, [...(holders.get(process.mountNamespace) ?? []), process]);
  }
  const leaks: Leak[] = [];
  for (const [namespace, processes] of holders) {
    if (processes.some((process) => host.launcherOf(process))) continue;
    const ours = mountsOf(processes[0]?.pid ?? 0).filter((mount) => isOurs(mount, storeDirs));
    for (const { type, root, point } of ours) {
      const pids = processes.map(({ pid }) => pid);
      const shown =
        pids.length > 5 ? `${pids.slice(0, 5).join(', ')} and ${pids.length - 5} more` : pids.join(', ');
      leaks.push({
        kind: 'mount',
        key: `mount ${namespace} ${point}`,
        what: `${type} of ${root} on ${point}, in the mount namespace of ${shown}`,
        remedy:
          pids.length > 5
            ? `umount ${point}`
            : `ends with process ${shown}; or nsenter --mount=/proc/${pids[0]}/ns/mnt umount ${point}`,
        pid: pids[0] as number,
        path: point,
      });
    }
  }
  return leaks;
}

/** Layers, alone or all together; our own directory above images; and overlays of zones and sandboxes. */
function isOurs({ type, root, point, options }: Mount, storeDirs: readonly string[]): boolean {
  if (type === 'overlay') return /(^|,)(upperdir=\/shell\/upper|lowerdir=\/platform:)/.test(options);
  if (/\/layers\/([0-9a-f]{64}|\.unpacking-[0-9a-f]{32})$/.test(root)) return true;
  if (/\/runtime\/native\/build(-asan)?\/platform$/.test(root)) return true;
  // `root` counts from where its file system begins.
  return point !== '/' && storeDirs.some((dir) => root.endsWith('/layers') && `${dir}/layers`.endsWith(root));
}
