import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A cgroup directory of a sandbox that has ended, or one in which there still is a process. */
export type ResidueKind = 'cgroup' | 'process';

/** Longer than an agent takes to give a cgroup up that stays busy, or a sandbox to be ready. */
const intervalMs = 10_000;
/** Names begin with its id (runtime/native/cgroup.c). */
const sandboxDirectory = /^s(\d+)$/;

export interface ResidueAudit {
  /** Looks now; what is found twice, on two looks, is told. */
  look(): Promise<void>;
  close(): void;
}

/**
 * Compares the cgroups of this instance with the sandboxes that there are. A sandbox's processes are in its cgroup, its
 * mounts and its writable layer in a mount namespace that ends with them: a directory without a sandbox is all that can
 * be left, and each is told once.
 */
export function openResidueAudit(options: {
  /** Mount points of cgroup hierarchies. */
  hierarchies: readonly string[];
  instance: string;
  /** Ids of the sandboxes that are not gone. */
  live: () => Iterable<string>;
  onFound: (kind: ResidueKind, path: string) => void;
  onError: (error: unknown) => void;
}): ResidueAudit {
  const { hierarchies, instance, live, onFound, onError } = options;
  let suspects = new Set<string>();
  const told = new Set<string>();

  async function look(): Promise<void> {
    const paths = (await Promise.all(hierarchies.map(sandboxesIn))).flat();
    // Asked for after the directories were read: one that was made since is not among those.
    const ids = new Set([...live()].map(numberOf));
    const left = paths.filter(({ id }) => !ids.has(id)).map(({ path }) => path);
    for (const path of left) {
      if (!suspects.has(path) || told.has(path)) continue;
      told.add(path);
      onFound((await hasProcess(path)) ? 'process' : 'cgroup', path);
    }
    suspects = new Set(left);
    for (const path of told) if (!suspects.has(path)) told.delete(path);
  }

  async function sandboxesIn(hierarchy: string): Promise<{ path: string; id: number }[]> {
    const root = join(hierarchy, 'oncebox', instance);
    const zones = (await namesIn(root)).filter((name) => name.startsWith('zone'));
    const found = await Promise.all(
      zones.map(async (zone) =>
        (await namesIn(join(root, zone))).flatMap((name) => {
          const id = sandboxDirectory.exec(name)?.[1];
          return id === undefined ? [] : [{ path: join(root, zone, name), id: Number(id) }];
        }),
      ),
    );
    return found.flat();
  }

  const timer = setInterval(() => look().catch(onError), intervalMs).unref();
  return { look, close: () => clearInterval(timer) };
}

/** Where the kernel has cgroups on this machine: the mount point on v2, one for each controller on v1. */
export async function cgroupHierarchies(root = '/sys/fs/cgroup'): Promise<string[]> {
  return [root, ...(await namesIn(root)).map((name) => join(root, name))];
}

/** A sandbox is `<zone>-<id in base 36>` (runtime/zygote/zone.ts). */
function numberOf(sandboxId: string): number {
  return Number.parseInt(sandboxId.slice(sandboxId.lastIndexOf('-') + 1), 36);
}

async function hasProcess(path: string): Promise<boolean> {
  const processes = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '');
  return processes !== '';
}

async function namesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
