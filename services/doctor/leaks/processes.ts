import { type HostProcess, type HostProcesses, isOurId, isServiceId } from './host-processes.ts';
import type { Leak } from './leak.ts';

/**
 * Processes under ids of ours, or in cgroups of ours, that no living launcher or supervisor answers for. All that a zone
 * is made of descends from its launcher, whatever it does: who is orphaned in there is given to the zone's own init.
 */
export function strayProcesses(host: HostProcesses): Leak[] {
  const leaks: Leak[] = [];
  const services = new Set(
    [...host.launchers.values()].map(({ workerUid }) => workerUid).filter((id) => id !== 0),
  );
  for (const process of host.all.values()) {
    const launcher = host.launchers.get(process.pid);
    if (launcher) {
      if (host.isOrphan(process))
        leaks.push(
          leak(
            'orphan launcher',
            process,
            `launcher of instance ${launcher.instance}, whose supervisor is gone`,
            launcher.instance,
          ),
        );
      continue;
    }
    const isOurs = process.cgroup !== undefined || process.uids.some((id) => isOurId(id) || services.has(id));
    if (!isOurs || host.launcherOf(process)) continue;
    const isService = process.uids.every((id) => isServiceId(id) || services.has(id)) && !process.cgroup;
    if (isService && !host.isOrphan(process)) continue;
    if (process.state === 'Z') {
      leaks.push({
        ...leak('zombie', process, `zombie under id ${process.uids[0]}`),
        remedy: `its parent, process ${process.parent}, has to reap it, or to end`,
      });
    } else if (isService) {
      leaks.push(
        leak('orphan service', process, `${process.args.slice(0, 4).join(' ')}, whose supervisor is gone`),
      );
    } else {
      const kind =
        process.name === 'agent' || process.cgroup?.leaf === 'agent' ? 'orphan agent' : 'stray process';
      const where = process.cgroup ? ` in the cgroup of ${process.cgroup.zone || 'the instance'}` : '';
      leaks.push(
        leak(
          kind,
          process,
          `"${process.name}" under id ${process.uids[1]}${where}, of no living launcher`,
          process.cgroup?.instance,
        ),
      );
    }
  }
  return leaks;
}

function leak(kind: Leak['kind'], process: HostProcess, what: string, instance?: string): Leak {
  return {
    kind,
    key: `process ${process.pid} ${process.startedAt}`,
    what: `process ${process.pid}: ${what}`,
    remedy: `kill -KILL ${process.pid}; what is in its cgroup is ended too when its instance starts again`,
    pid: process.pid,
    ...(instance !== undefined && { instance }),
  };
}
