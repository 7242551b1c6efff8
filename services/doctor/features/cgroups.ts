import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Mount, mountsOf } from '../leaks/mount-table.ts';
import { type Description, type Feature, featureOf } from './feature.ts';

const needed = ['cpu', 'cpuacct', 'memory', 'pids'];

interface Hierarchies {
  version: 1 | 2 | undefined;
  /** Where each controller is. */
  places: Map<string, string>;
}

/** Which cgroups there are, as cgroup.c finds them, and what files a new one has: one is made and taken away again. */
export async function lookAtCgroups(): Promise<Feature[]> {
  const hierarchies = await findHierarchies(mountsOf('self'));
  const { version, places } = hierarchies;
  const controllers = [...places.keys()].filter((name) => [...needed, 'io', 'blkio'].includes(name));
  const features = [
    featureOf(
      {
        group: 'required',
        name: 'cgroups with cpu, memory and pids',
        purpose: 'caps and accounts of every sandbox',
        without: 'the launcher does not start',
        remedy:
          'mount cgroup2 on /sys/fs/cgroup; controllers must not be off on the kernel command line (cgroup_disable=); in a container: --privileged --cgroupns=private',
      },
      version === undefined ? 'missing' : 'there',
      version === undefined
        ? `controllers: ${controllers.join(', ') || 'none'}`
        : `version ${version}: ${controllers.join(', ')}`,
    ),
  ];
  if (version === undefined) return features;
  const files = await filesOfNew(hierarchies);
  const inDirectory = (description: Description, file: string, instead?: string): Feature => {
    if (files instanceof Error) return featureOf(description, 'unseen', files.message);
    const found = [file, instead].find((name) => name !== undefined && files.has(name));
    return featureOf(description, found ? 'there' : 'missing', found ?? `no ${file}`);
  };
  features.push(
    featureOf(
      {
        group: 'required',
        name: 'cgroups can be made',
        purpose: 'one for each zone and sandbox',
        without: 'no zone can be made',
        remedy: 'run as root; in a container, /sys/fs/cgroup must be writable',
      },
      files instanceof Error ? (process.getuid?.() === 0 ? 'missing' : 'unseen') : 'there',
      files instanceof Error ? files.message : 'works',
    ),
    inDirectory(
      {
        group: 'better',
        name: 'memory peak',
        purpose: "an invocation's usage says the most memory that it had",
        without: 'memoryPeakBytes of an invocation is 0',
        remedy: 'Linux 5.19 or later (cgroup v2)',
      },
      'memory.peak',
      'memory.max_usage_in_bytes',
    ),
    inDirectory(
      {
        group: 'better',
        name: 'pids.peak',
        purpose: "an invocation's usage says how many processes it had at most",
        without: 'usage has no pidsPeak',
        remedy: 'Linux 6.1 or later',
      },
      'pids.peak',
    ),
    inDirectory(
      {
        group: 'isolation',
        name: 'disk bandwidth caps',
        purpose: 'reading layers can be throttled',
        without: 'a sandbox that reads much slows down the disk for others',
        remedy: 'a kernel with CONFIG_BLK_DEV_THROTTLING, and the io (v2) or blkio (v1) controller',
      },
      'io.max',
      'blkio.throttle.read_bps_device',
    ),
    await swap(version, files),
    await pressure(version),
  );
  if (version === 2) {
    features.push(
      inDirectory(
        {
          group: 'isolation',
          name: 'cgroup.kill',
          purpose: 'all processes of a sandbox are killed at once, so that nothing forks ahead of it',
          without: 'they are killed one by one; the pid namespace ends them all the same',
          remedy: 'Linux 5.14 or later',
        },
        'cgroup.kill',
      ),
    );
  }
  return features;
}

async function findHierarchies(mounts: readonly Mount[]): Promise<Hierarchies> {
  const v1 = new Map<string, string>();
  for (const { type, options, point } of mounts) {
    if (type !== 'cgroup') continue;
    for (const name of options.split(',')) if ([...needed, 'blkio'].includes(name)) v1.set(name, point);
  }
  if (needed.every((name) => v1.has(name))) return { version: 1, places: v1 };
  const v2 = mounts.find(({ type }) => type === 'cgroup2')?.point;
  if (v2 === undefined) return { version: undefined, places: v1 };
  const controllers = (await readFile(join(v2, 'cgroup.controllers'), 'utf8').catch(() => ''))
    .trim()
    .split(' ');
  const places = new Map(controllers.map((name) => [name, v2]));
  const isWhole = ['cpu', 'memory', 'pids'].every((name) => places.has(name));
  return { version: isWhole ? 2 : undefined, places };
}

/** Names of the files that the kernel gives to a new cgroup, or why none could be made. */
async function filesOfNew({ version, places }: Hierarchies): Promise<Set<string> | Error> {
  const names = new Set<string>();
  for (const mount of new Set(places.values())) {
    const parent = (await nearestWith(mount, version)) ?? mount;
    const path = join(parent, `oncebox-doctor-${process.pid}`);
    try {
      await mkdir(path);
    } catch (error) {
      return new Error(`cannot make ${path}: ${(error as NodeJS.ErrnoException).code}`);
    }
    try {
      for (const name of await readdir(path)) names.add(name);
    } finally {
      await rmdir(path);
    }
  }
  return names;
}

/** On v2 a new cgroup has the files of those controllers that its parent hands down; the instance's own does. */
async function nearestWith(mount: string, version: Hierarchies['version']): Promise<string | undefined> {
  if (version !== 2) return undefined;
  for (const path of [mount, join(mount, 'oncebox')]) {
    const handed = (await readFile(join(path, 'cgroup.subtree_control'), 'utf8').catch(() => ''))
      .trim()
      .split(' ');
    if (['cpu', 'memory', 'pids'].every((name) => handed.includes(name))) return path;
  }
  return undefined;
}

async function swap(version: 1 | 2, files: ReadonlySet<string> | Error): Promise<Feature> {
  const total = Number(/^SwapTotal:\s+(\d+)/m.exec(await readFile('/proc/meminfo', 'utf8'))?.[1] ?? 0);
  const isCapped = version === 2 && !(files instanceof Error) && files.has('memory.swap.max');
  return featureOf(
    {
      group: 'isolation',
      name: 'sandboxes do not swap',
      purpose: "what a sandbox has in memory never reaches the disk, and its cap is the node's cost",
      without: 'the machine swaps, and this kernel only discourages it for a cgroup (swappiness)',
      remedy: 'swapoff -a; or cgroup v2 with swap accounting (swapaccount=1 on the kernel command line)',
    },
    total === 0 || isCapped ? 'there' : 'weak',
    total === 0 ? 'no swap' : `${Math.round(total / 1024)} MiB of swap${isCapped ? ', capped at 0' : ''}`,
  );
}

async function pressure(version: 1 | 2): Promise<Feature> {
  const isOn = await readFile('/proc/pressure/cpu', 'utf8').then(
    () => true,
    () => false,
  );
  return featureOf(
    {
      group: 'better',
      name: 'pressure stall information',
      purpose: "an invocation's usage says how long it waited for CPU, memory and disk",
      without: 'usage has no pressure',
      remedy:
        version === 2
          ? 'psi=1 on the kernel command line'
          : 'cgroup v2, and psi=1 on the kernel command line',
    },
    isOn && version === 2 ? 'there' : 'missing',
    isOn ? (version === 2 ? 'of each cgroup' : 'of the machine only') : 'none',
  );
}
