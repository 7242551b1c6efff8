import { basename, dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cgroupRoots, strayCgroups } from './cgroups.ts';
import { abandonedInDataDir, abandonedInStore, abandonedPlatforms } from './files.ts';
import { HostProcesses } from './host-processes.ts';
import { unknownSandboxes } from './known-sandboxes.ts';
import type { Leak } from './leak.ts';
import { strayMounts } from './mounts.ts';
import { strayProcesses } from './processes.ts';

export type { Leak } from './leak.ts';

export interface AuditOptions {
  /** Data directories to look into, beside those of the instances that run. */
  dataDirs?: readonly string[];
  /** Likewise image stores. */
  storeDirs?: readonly string[];
  /** Only what belongs to this instance, and what belongs to none that can be told; else to any on the machine. */
  instance?: string;
  /** A platform whose list of sandboxes is compared with what the kernel has. */
  url?: string;
  /** An earlier audit: what it has found is not reported again. */
  known?: NodeAudit;
  /** What is there for so long is left over: sandboxes come and go, and their ends take a moment. 3 s unless given. */
  settleMs?: number;
  signal?: AbortSignal;
}

export interface NodeAudit {
  /** Empty: nothing is left over. */
  leaks: Leak[];
  /** What was looked at, so that an empty list says something. */
  looked: {
    processes: number;
    cgroupHierarchies: number;
    mountNamespaces: number;
    instances: string[];
    dataDirs: string[];
    storeDirs: string[];
    /** Instances whose sandboxes were compared with their workers' lists. */
    compared: string[];
  };
  /** What could not be looked at, in sentences. */
  unseen: string[];
}

const lookAgainMs = 250;

/**
 * Looks for what oncebox has left on this machine: processes, cgroups, mounts, files. Resolves at once when there is
 * nothing; else looks again and again, and reports what was there every time for `settleMs`. Changes nothing.
 */
export async function auditNode(options: AuditOptions = {}): Promise<NodeAudit> {
  const { settleMs = 3000, signal } = options;
  const until = performance.now() + settleMs;
  const known = new Set(options.known?.leaks.map(({ key }) => key));
  let audit = await look(options);
  let left = audit.leaks.filter(({ key }) => !known.has(key));
  while (left.length > 0 && performance.now() < until) {
    await delay(Math.min(lookAgainMs, settleMs), undefined, signal && { signal });
    audit = await look(options);
    const still = new Set(audit.leaks.map(({ key }) => key));
    left = left.filter(({ key }) => still.has(key));
  }
  return { ...audit, leaks: left };
}

async function look(options: AuditOptions): Promise<NodeAudit> {
  const unseen: string[] = [];
  const { url, instance, signal } = options;
  const compared =
    url === undefined
      ? undefined
      : await unknownSandboxes(() => new HostProcesses(), url, signal).catch((error: Error) => {
          unseen.push(`the sandboxes of ${url}: ${reasonOf(error)}`);
          return undefined;
        });
  const host = new HostProcesses();
  const live = [...host.launchers.values()].filter(
    (one) => instance === undefined || one.instance === instance,
  );
  const dataDirs = unique([
    ...(options.dataDirs ?? []),
    ...parentsOf(
      'run',
      live.map(({ runDir }) => runDir),
    ),
  ]);
  const storeDirs = unique([
    ...(options.storeDirs ?? []),
    ...parentsOf(
      'layers',
      live.map(({ layersDir }) => layersDir),
    ),
  ]);
  const namespaces = new Set([...host.all.values()].map(({ mountNamespace }) => mountNamespace));
  // Zombies have none.
  namespaces.delete(undefined);
  if (process.getuid?.() !== 0) unseen.push('mount namespaces and programs of other users: root is needed');
  const leaks = [
    ...strayProcesses(host),
    ...strayCgroups(host),
    ...strayMounts(host, storeDirs),
    ...(compared?.leaks ?? []),
    ...(await abandonedPlatforms(host, storeDirs)),
    ...(await Promise.all(storeDirs.map((dir) => abandonedInStore(host, dir)))).flat(),
    ...(await Promise.all(dataDirs.map((dir) => abandonedInDataDir(host, dir)))).flat(),
  ];
  return {
    leaks: leaks.filter(
      (leak) => instance === undefined || leak.instance === undefined || leak.instance === instance,
    ),
    looked: {
      processes: host.all.size,
      cgroupHierarchies: cgroupRoots().length,
      mountNamespaces: namespaces.size,
      instances: [...host.instances],
      dataDirs,
      storeDirs,
      compared: compared?.instances ?? [],
    },
    unseen,
  };
}

/** A launcher may be started with a socket or layers that lie elsewhere. */
const parentsOf = (name: string, paths: string[]) =>
  paths.filter((path) => basename(path) === name).map((path) => dirname(path));

const unique = (values: string[]) => [...new Set(values)];

function reasonOf(error: Error): string {
  const { cause } = error;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
