import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { sandboxIdBase, serviceId } from '../../../runtime/image/ids.ts';
import { cgroupMounts } from './mount-table.ts';

/** No account has an id in there; whoever runs under one was made by oncebox. */
const lastId = 0x7fff_ffff;

export interface HostProcess {
  pid: number;
  parent: number;
  /** Clock ticks since boot: with the pid it names a process for ever. */
  startedAt: string;
  /** `Z` is a zombie. */
  state: string;
  name: string;
  /** Real, effective, saved and of the file system, as the host has them. */
  uids: number[];
  args: string[];
  /** Last part of its program's path; of its first argument where the path cannot be read. */
  program: string;
  /** `oncebox` and what is below it, in the hierarchy of memory or the only one; undefined outside of our cgroups. */
  cgroup: { instance: string; zone: string; leaf: string } | undefined;
  /** `mnt:[…]`, undefined where we may not look. */
  mountNamespace: string | undefined;
}

/** A root process that was started as the launcher, by its arguments. */
export interface Launcher {
  pid: number;
  instance: string;
  layersDir: string;
  runDir: string;
  workerUid: number;
}

/** All processes at (almost) one moment: read without a pause, because a snapshot with pauses is none. */
export class HostProcesses {
  readonly all = new Map<number, HostProcess>();
  readonly launchers = new Map<number, Launcher>();

  constructor() {
    const roots = [...new Set(cgroupMounts().map(({ root }) => root.replace(/\/$/, '')))];
    for (const name of readdirSync('/proc')) {
      const found = /^\d+$/.test(name) ? readProcess(Number(name), roots) : undefined;
      if (found) this.all.set(found.pid, found);
    }
    const candidates = new Map<number, Launcher>();
    for (const process of this.all.values()) {
      const launcher = asLauncher(process);
      if (launcher) candidates.set(process.pid, launcher);
    }
    // A zone that has just been cloned from a launcher looks like one.
    for (const [pid, launcher] of candidates) {
      if (!candidates.has(this.all.get(pid)?.parent ?? 0)) this.launchers.set(pid, launcher);
    }
  }

  get instances(): Set<string> {
    return new Set([...this.launchers.values()].map(({ instance }) => instance));
  }

  /** The launcher that a process descends from. */
  launcherOf(process: HostProcess): Launcher | undefined {
    for (const one of this.#upwards(process)) {
      const launcher = this.launchers.get(one.pid);
      if (launcher) return launcher;
    }
    return undefined;
  }

  /** Whether a part that a supervisor starts has lost it: the kernel has given it to another, which is not Node. */
  isOrphan(process: HostProcess): boolean {
    for (const one of this.#upwards(process)) {
      if (one.uids.every(isServiceId) || this.launchers.has(one.pid)) continue;
      return !/^node/.test(one.program);
    }
    return true;
  }

  *#upwards(process: HostProcess): Generator<HostProcess> {
    const seen = new Set<number>();
    for (
      let one: HostProcess | undefined = process;
      one && !seen.has(one.pid);
      one = this.all.get(one.parent)
    ) {
      seen.add(one.pid);
      yield one;
    }
  }
}

export const isOurId = (id: number) => id >= sandboxIdBase && id <= lastId;

/** Gateway, worker and Redis; the gateway may have an id of its own, the next. */
export const isServiceId = (id: number) => id === serviceId || id === serviceId + 1;

function readProcess(pid: number, cgroupRoots: readonly string[]): HostProcess | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name stands in parentheses and may hold any.
    const end = stat.lastIndexOf(')');
    const fields = stat.slice(end + 2).split(' ');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const uids = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split('\t').map(Number) ?? [];
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    const path = linkOf(`/proc/${pid}/exe`)?.replace(/ \(deleted\)$/, '') ?? args[0] ?? '';
    return {
      pid,
      parent: Number(fields[1]),
      startedAt: fields[19] ?? '',
      state: fields[0] ?? '',
      name: stat.slice(stat.indexOf('(') + 1, end),
      uids,
      args,
      program: basename(path),
      cgroup: cgroupOf(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), cgroupRoots),
      mountNamespace: linkOf(`/proc/${pid}/ns/mnt`),
    };
  } catch {
    // It has ended.
    return undefined;
  }
}

/** In a container the hierarchies that are mounted may begin at a cgroup of its own; `roots` are where they do. */
function cgroupOf(text: string, roots: readonly string[]): HostProcess['cgroup'] {
  for (const line of text.split('\n')) {
    const path = line.split(':').slice(2).join(':');
    const root = roots.find((root) => path.startsWith(`${root}/oncebox/`));
    if (root === undefined) continue;
    const [instance = '', zone = '', leaf = ''] = path.slice(`${root}/oncebox/`.length).split('/');
    return { instance, zone, leaf };
  }
  return undefined;
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Arguments are anyone's to choose, being root is not. */
function asLauncher({ pid, uids, args, program }: HostProcess): Launcher | undefined {
  const option = (name: string) => args[args.indexOf(`--${name}`) + 1] ?? '';
  if (program !== 'oncebox-launcher' || !uids.every((uid) => uid === 0) || !args.includes('--instance'))
    return undefined;
  return {
    pid,
    instance: option('instance'),
    layersDir: option('layers'),
    runDir: option('socket').replace(/\/[^/]*$/, ''),
    workerUid: Number(option('worker-uid')),
  };
}
