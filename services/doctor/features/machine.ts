import { readFile, statfs } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import prettyBytes from 'pretty-bytes';
import { type Description, type Feature, featureOf } from './feature.ts';
import { type MachineMount, mountOf } from './mount-of.ts';

const GiB = 1024 ** 3;

/** What the machine is and has: kernel, rights, memory, cores, disk, limits. `directory` exists. */
export async function lookAtMachine(directory: string): Promise<Feature[]> {
  return [
    kernel(),
    rights(),
    memory(),
    cores(),
    ...(await disk(directory)),
    await descriptors(),
    await namespaces(),
    await overcommit(),
    await hugePages(),
  ];
}

function kernel(): Feature {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const description: Description = {
    group: 'required',
    name: 'kernel',
    purpose: 'what follows is tried, whatever the version says; oncebox is tested on 6.1 and later',
    without: 'overlayfs in a user namespace needs 5.11, mount_setattr 5.12',
    remedy: 'Linux 5.12 or later; 6.1 or later is better',
  };
  const isOld = major < 5 || (major === 5 && minor < 12);
  const isTested = major > 6 || (major === 6 && minor >= 1);
  return featureOf(description, isOld ? 'missing' : isTested ? 'there' : 'weak', release());
}

function rights(): Feature {
  const id = process.getuid?.() ?? -1;
  return featureOf(
    {
      group: 'required',
      name: 'root',
      purpose: 'the launcher maps ids and makes cgroups; gateway, worker and Redis run as an ordinary user',
      without: 'oncebox does not start, and some of what follows cannot be tried',
      remedy: 'run oncebox and this command as root, as with sudo',
    },
    // Who only looks may start it otherwise.
    id === 0 ? 'there' : 'unseen',
    id === 0 ? 'yes' : `this is user ${id}`,
  );
}

function memory(): Feature {
  const bytes = totalmem();
  return featureOf(
    {
      group: 'better',
      name: 'memory',
      purpose: 'zygotes take about 300 MB, a parked sandbox about 1.5 MB, a run what its cap says',
      without: 'few runs fit at once; others wait',
      remedy: 'a machine with 2 GB or more; lower ONCEBOX_POOL_MAX and the limits',
    },
    bytes >= 2 * GiB * 0.9 ? 'there' : 'weak',
    prettyBytes(bytes, { binary: true }),
  );
}

function cores(): Feature {
  const count = cpus().length;
  return featureOf(
    {
      group: 'better',
      name: 'cores',
      purpose: 'services and sandboxes share them',
      without: 'refilling pools takes its time from runs',
      remedy: 'a machine with two cores or more',
    },
    count >= 2 ? 'there' : 'weak',
    `${count} (${cpus()[0]?.model.trim() ?? 'unknown'})`,
  );
}

async function disk(directory: string): Promise<Feature[]> {
  const { bavail, bsize, ffree, files } = await statfs(directory);
  const freeBytes = bavail * bsize;
  const mount: MachineMount | undefined = mountOf(directory);
  const isFull = freeBytes < GiB / 2 || (files > 0 && ffree < 20_000);
  return [
    featureOf(
      {
        group: 'required',
        name: 'disk space',
        purpose: 'the base images take about 300 MB; then layers, queue and records',
        without: 'set-up, pulls and builds fail; with a full disk Redis takes no invocation',
        remedy: 'free some, or put ONCEBOX_DATA_DIR elsewhere; "oncebox prune" removes what no image needs',
      },
      isFull ? 'missing' : freeBytes < 5 * GiB ? 'weak' : 'there',
      `${prettyBytes(freeBytes, { binary: true })} and ${ffree} files free at ${directory}`,
    ),
    featureOf(
      {
        group: 'better',
        name: 'file system of the data directory',
        purpose: 'layers are directories with owners, modes and links',
        without: 'layers may lose owners or attributes, and locks may not be seen',
        remedy: 'ext4, xfs or btrfs, not read-only and not of the network',
      },
      /^(ext4|xfs|btrfs|zfs|bcachefs|f2fs|overlay|tmpfs)$/.test(mount?.type ?? '') ? 'there' : 'weak',
      `${mount?.type ?? 'unknown'} on ${mount?.point ?? '?'}`,
    ),
  ];
}

async function descriptors(): Promise<Feature> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? '0';
  return featureOf(
    {
      group: 'better',
      name: 'open files',
      purpose: 'an agent holds about eight descriptors a sandbox, and a zone up to a thousand of them',
      without: 'sandboxes beyond that are refused',
      remedy: 'ulimit -Hn 65536, LimitNOFILE= in a systemd unit, or --ulimit nofile= of a container',
    },
    hard === 'unlimited' || Number(hard) >= 16_384 ? 'there' : 'weak',
    hard,
  );
}

async function namespaces(): Promise<Feature> {
  const kinds = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'];
  const limits = await Promise.all(kinds.map((kind) => numberIn(`/proc/sys/user/max_${kind}_namespaces`)));
  const least = Math.min(...limits);
  const which = kinds[limits.indexOf(least)];
  return featureOf(
    {
      group: 'required',
      name: 'number of namespaces',
      purpose: 'each sandbox has one of each kind but user',
      without: 'sandboxes beyond that cannot be made',
      remedy: `sysctl user.max_${which}_namespaces=65536`,
    },
    least === 0 ? 'missing' : least < 4096 ? 'weak' : 'there',
    `${least} (user.max_${which}_namespaces)`,
  );
}

async function overcommit(): Promise<Feature> {
  const mode = await numberIn('/proc/sys/vm/overcommit_memory');
  return featureOf(
    {
      group: 'better',
      name: 'memory overcommit',
      purpose: 'a fork shares the memory of its zygote, and Redis writes its file from a fork',
      without: 'every fork counts as if all of its memory were written, and fails when that does not fit',
      remedy: 'sysctl vm.overcommit_memory=1 (or 0)',
    },
    mode === 2 ? 'weak' : 'there',
    `vm.overcommit_memory is ${mode}`,
  );
}

async function hugePages(): Promise<Feature> {
  const path = '/sys/kernel/mm/transparent_hugepage/enabled';
  const mode = /\[(\w+)\]/.exec(await readFile(path, 'utf8').catch(() => ''))?.[1];
  return featureOf(
    {
      group: 'better',
      name: 'transparent huge pages',
      purpose: "node's code lies on huge pages, which forks need not find again page by page",
      without: 'first runs of node are slower',
      remedy: `echo madvise > ${path}`,
    },
    mode === undefined || mode === 'never' ? 'missing' : 'there',
    mode ?? 'the kernel has none',
  );
}

async function numberIn(path: string): Promise<number> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  // A kernel without the setting has no such limit.
  return text === undefined ? Number.POSITIVE_INFINITY : Number(text.trim());
}
