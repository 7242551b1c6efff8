import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupNameOf, isCgroupName } from '../../runtime/sandbox/cgroup-name.ts';
import type { Sandbox } from '../../runtime/sandbox/sandbox.ts';

/** A cgroup directory of a sandbox that has ended, or one in which there still is a process. */
export type ResidueKind = 'cgroup' | 'process';

/** Longer than a sandbox takes to be ready, or to die: those that are neither made nor dead yet are not in `live`. */
const intervalMs = 35_000;

export interface ResidueAudit {
  /** Looks now; what is there on three looks, and too many on the last two, is told. */
  look(): Promise<void>;
  close(): void;
}

interface Found {
  path: string;
  /** In zones of one hierarchy names recur, and no sandbox's id says which of these zones is its own. */
  key: string;
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
  /** The sandboxes that are made and not gone. */
  live: () => Iterable<Pick<Sandbox, 'id' | 'createdAtMs'>>;
  onFound: (kind: ResidueKind, path: string) => void;
  onError: (error: unknown) => void;
}): ResidueAudit {
  const { hierarchies, instance, live, onFound, onError } = options;
  /** Of the last look. */
  let seen = new Set<string>();
  let seenAtMs = 0;
  /** By key: how many too many there were on the last look, and how many of them have been told. */
  let suspects = new Map<string, { excess: number; told: number }>();

  async function look(): Promise<void> {
    const found = (await Promise.all(hierarchies.map(sandboxesIn))).flat();
    // A directory of the last look belongs to one of these, or to none. None of them may be missing: asked for after
    // the directories were read, so that whatever is made or dies from now on is not in question.
    const known = new Map<string, number>();
    for (const { id, createdAtMs } of live()) {
      const name = cgroupNameOf(id);
      if (createdAtMs <= seenAtMs) known.set(name, (known.get(name) ?? 0) + 1);
    }
    const old = new Map<string, string[]>();
    for (const { path, key } of found) if (seen.has(path)) old.set(key, [...(old.get(key) ?? []), path]);
    seen = new Set(found.map(({ path }) => path));
    seenAtMs = performance.now();
    const before = suspects;
    suspects = new Map();
    for (const [key, same] of old) {
      const excess = same.length - (known.get(key.slice(key.lastIndexOf(' ') + 1)) ?? 0);
      if (excess <= 0) continue;
      const last = before.get(key) ?? { excess: 0, told: 0 };
      const certain = Math.min(excess, last.excess);
      const told = Math.min(last.told, excess);
      suspects.set(key, { excess, told: Math.max(told, certain) });
      if (certain > told) await tell(same, told, certain);
    }
  }

  /** Those that nobody is in are first: a sandbox that is not dead has a process. */
  async function tell(paths: readonly string[], from: number, to: number): Promise<void> {
    const busy = await Promise.all(paths.map(hasProcess));
    const empty = paths.filter((_, index) => !busy[index]);
    const full = paths.filter((_, index) => busy[index]).join(' or ');
    for (const path of empty.slice(from, to)) onFound('cgroup', path);
    for (let index = Math.max(from, empty.length); index < to; index++) onFound('process', full);
  }

  async function sandboxesIn(hierarchy: string): Promise<Found[]> {
    const root = join(hierarchy, 'oncebox', instance);
    const zones = (await namesIn(root)).filter((name) => name.startsWith('zone'));
    const found = await Promise.all(
      zones.map(async (zone) =>
        (await namesIn(join(root, zone)))
          .filter(isCgroupName)
          .map((name) => ({ path: join(root, zone, name), key: `${hierarchy} ${name}` })),
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

/** In it or in a cgroup below. */
async function hasProcess(path: string): Promise<boolean> {
  const processes = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '');
  if (processes !== '') return true;
  const below = await namesIn(path);
  return (await Promise.all(below.map((name) => hasProcess(join(path, name))))).includes(true);
}

async function namesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
