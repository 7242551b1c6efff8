import type { Attack } from './attack.ts';
import { type Ground, saidBy } from './ground.ts';
import { must, NotHere } from './verdict.ts';

const group = 'system-calls';

/** How a call ends that a filter stops; SIGSYS is how it stops those of another architecture. */
const refusals = new Set(['EPERM', 'ENOSYS', 'SIGSYS']);

interface Calls {
  /** As the program names the group. */
  name: string;
  title: string;
  /** Calls that root outside is let do: others need what the machine may not have. */
  reachable: string[];
  isApart?: boolean;
}

const groups: Calls[] = [
  {
    name: 'namespaces',
    title: 'new namespaces by unshare, clone and clone3, and entering others by setns, pivot_root and chroot',
    reachable: ['unshare_user', 'unshare_mount', 'clone_user', 'clone3_user', 'setns_net', 'chroot'],
  },
  {
    name: 'mounts',
    title: 'mounts by the old and by the new interface',
    reachable: ['mount_tmpfs', 'mount_bind', 'open_tree', 'fsopen', 'mount_setattr'],
  },
  {
    name: 'tracing',
    title: 'tracing others, and reading their memory and descriptors',
    reachable: ['ptrace_seize', 'process_vm_readv', 'pidfd_getfd'],
  },
  {
    name: 'kernel',
    title: 'bpf, perf_event_open, userfaultfd, io_uring, modules, fanotify, personality',
    reachable: ['bpf', 'userfaultfd', 'fanotify_init', 'personality'],
  },
  {
    name: 'keyrings',
    title: 'keyrings: add_key, request_key, keyctl',
    reachable: ['add_key', 'keyctl_join', 'keyctl_get'],
  },
  {
    name: 'handles',
    title: 'files by handle: name_to_handle_at, open_by_handle_at',
    reachable: ['name_to_handle_at', 'open_by_handle_at'],
  },
  {
    name: 'other-architectures',
    title: 'system calls of i386 and x32, which a filter for one architecture would not see',
    reachable: ['i386_getpid'],
  },
];

function probe({ name, title, reachable }: Calls): Attack {
  return {
    id: `calls-${name}`,
    group,
    title,
    must: 'EPERM or ENOSYS, for each',
    async attack(ground) {
      requireX64();
      await allRefused(ground, name);
    },
    async control({ outside }) {
      requireX64();
      const ran = await outside.python('probe-calls.py', { args: [name] });
      const ends = saidBy<Record<string, string>>(ran.stdout);
      const refused = reachable.filter((call) => refusals.has(ends[call] ?? 'ENOSYS'));
      must(
        refused.length === 0,
        'root outside is refused',
        Object.fromEntries(refused.map((call) => [call, ends[call]])),
      );
    },
  };
}

const machine: Attack = {
  id: 'calls-machine',
  group,
  title: 'the machine itself: kexec, reboot, clocks, swap, ports, accounting, host name, kernel log',
  must: 'EPERM or ENOSYS, for each',
  async attack(ground) {
    requireX64();
    await allRefused(ground, 'machine');
  },
  async control({ outside }) {
    // No such calls on a machine that has other things to do. Its name is its own in these namespaces.
    const ran = await outside.run([
      'sh',
      '-c',
      'hostname oncebox-control && hostname && dmesg | head -c 1 | wc -c',
    ]);
    must(`${ran.stdout}`.startsWith('oncebox-control\n'), 'root outside is refused', ran);
  },
};

async function allRefused(ground: Ground, name: string): Promise<void> {
  const ran = await ground.program('probe-calls.py', { args: [name] });
  const ends = saidBy<Record<string, string>>(ran);
  const others = Object.entries(ends).filter(([, end]) => !refusals.has(end));
  must(Object.keys(ends).length > 1, 'nothing was tried', ran);
  must(others.length === 0, 'not refused', Object.fromEntries(others));
}

function requireX64(): void {
  if (process.arch !== 'x64') throw new NotHere('the numbers of the calls are those of x86-64');
}

export const systemCallAttacks: readonly Attack[] = [...groups.map(probe), machine];
