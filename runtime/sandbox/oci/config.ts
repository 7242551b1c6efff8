import type { Limits } from '../../../sdk/contract/limits.ts';
import { firstOwnId } from '../../image/ids.ts';
import type { SandboxSpec } from '../sandbox.ts';
import type { OciWall } from './wall.ts';

/** The part of the OCI runtime spec's config.json that we write. */
export interface OciConfig {
  ociVersion: string;
  process: {
    terminal: boolean;
    user: { uid: number; gid: number; additionalGids: number[] };
    args: string[];
    env: string[];
    cwd: string;
    capabilities: Record<'bounding' | 'effective' | 'inheritable' | 'permitted' | 'ambient', string[]>;
    rlimits: { type: string; soft: number; hard: number }[];
    noNewPrivileges: boolean;
  };
  root: { path: string; readonly: boolean };
  hostname: string;
  mounts: OciMount[];
  linux: { namespaces: { type: string }[]; maskedPaths: string[]; readonlyPaths: string[] };
}

interface OciMount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

/** What is masked in a native sandbox too (root.c; a test compares the two): it tells of the host, or acts on it. */
export const maskedOfProc = [
  ...['kcore', 'kmsg', 'kallsyms', 'keys', 'key-users', 'config.gz', 'modules', 'iomem'],
  ...['sysrq-trigger', 'acpi', 'scsi', 'asound', 'bus', 'irq', 'fs'],
  ...[
    'timer_list',
    'timer_stats',
    'sched_debug',
    'latency_stats',
    'locks',
    'interrupts',
    'diskstats',
    'partitions',
  ],
  ...['swaps', 'pressure', 'cmdline'],
];

/** gVisor's /proc and /sys are its own, and have none of these. */
const maskedPaths = [
  ...maskedOfProc.map((name) => `/proc/${name}`),
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
/** Of what is not masked; all of runc's /proc is. */
const readonlyPaths = ['/proc/sys'];

/** Those of a native sandbox (enter_sandbox in runtime/native/zygote.c). */
const rlimits = [
  { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
  { type: 'RLIMIT_NOFILE', soft: 1024, hard: 4096 },
  { type: 'RLIMIT_SIGPENDING', soft: 256, hard: 256 },
  { type: 'RLIMIT_MEMLOCK', soft: 0, hard: 0 },
  { type: 'RLIMIT_MSGQUEUE', soft: 0, hard: 0 },
  { type: 'RLIMIT_NICE', soft: 0, hard: 0 },
  { type: 'RLIMIT_RTPRIO', soft: 0, hard: 0 },
];

const bind = (destination: string, source: string, ...options: string[]): OciMount => ({
  destination,
  type: 'bind',
  source,
  options: ['rbind', 'nosuid', 'nodev', ...options],
});

/**
 * What the runtime is to make of the places that runtime/native/oci-root.c has prepared; paths of sources are its own. The
 * caps are no part of it: they are kept by cgroups and file systems that the runtime has no say in. Neither is the
 * program, which comes as a file once the container is there, nor seccomp: `entry` loads the filter of native sandboxes.
 */
export function ociConfig(wall: OciWall, spec: SandboxSpec, { pids }: Pick<Limits, 'pids'>): OciConfig {
  const { uid, gid, groups } = spec.user ?? { uid: firstOwnId, gid: firstOwnId, groups: [] };
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid, gid, additionalGids: [...groups] },
      args: ['/.oncebox/entry'],
      env: [],
      cwd: '/',
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      // gVisor's processes are not the host's, so it counts them itself. Its init is one more.
      rlimits:
        wall === 'gvisor' ? [...rlimits, { type: 'RLIMIT_NPROC', soft: pids + 1, hard: pids + 1 }] : rlimits,
      noNewPrivileges: true,
    },
    root: { path: '/shell/root', readonly: false },
    hostname: 'sandbox',
    mounts: [...(wall === 'gvisor' ? gvisorMounts(spec) : runcMounts), ...platformMounts],
    // The network is the one of the sandbox's administrator, who has loopback only, so no path of runc's is needed.
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'cgroup'].map((type) => ({ type })),
      maskedPaths,
      readonlyPaths,
    },
  };
}

const platformMounts = [
  bind('/.oncebox', '/platform', 'ro'),
  bind('/.oncebox/job', '/job', 'ro', 'noexec'),
  bind('/.oncebox/result', '/result', 'rw', 'noexec'),
];

/** The root has all but its /proc already: what a native sandbox has. */
const runcMounts: OciMount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['ro', 'nosuid', 'noexec', 'nodev'] },
  { destination: '/dev', type: 'bind', source: '/dev', options: ['rbind', 'ro', 'nosuid', 'noexec'] },
  { destination: '/dev/shm', type: 'bind', source: '/shell/shm', options: ['rbind', 'nosuid', 'nodev'] },
];

/** Its /proc and /dev are its own. Where it finds no mount for /tmp it makes one in memory, which no cap on disk knows. */
function gvisorMounts({ scratch, secrets }: SandboxSpec): OciMount[] {
  const work = scratch ? [bind('/work', '/shell/home')] : [];
  const ofSecrets = secrets ? [bind('/run/secrets', '/shell/secrets')] : [];
  return [bind('/tmp', '/shell/tmp'), ...work, ...ofSecrets, bind('/dev/shm', '/shell/shm')];
}
