import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Description, type Feature, featureOf } from './feature.ts';

const run = promisify(execFile);
const native = fileURLToPath(new URL('../../../runtime/native', import.meta.url));

interface Try {
  name: string;
  ok: boolean;
  /** Of errno, or `0`. */
  errno?: string;
  step?: string;
}

/** By the names that probe-features.c gives its tries. */
const descriptions: Record<string, Description> = {
  namespaces: {
    group: 'required',
    name: 'user namespaces',
    purpose:
      'zones are user, mount, pid, network, ipc and uts namespaces in which root is nobody on the host',
    without: 'no zone can be made',
    remedy:
      'run as root; sysctl user.max_user_namespaces above 0; in a container: --privileged, or a seccomp profile that allows clone of namespaces, and no chroot',
  },
  proc: {
    group: 'required',
    name: 'unmasked /proc',
    purpose:
      'every zone and sandbox has a /proc of its own, which the kernel allows where an unmasked one is seen',
    without: 'no zone can be made',
    remedy: 'in a container: --security-opt systempaths=unconfined, or --privileged',
  },
  setns: {
    group: 'required',
    name: 'setns by pidfd',
    purpose: 'a fork joins all namespaces of its sandbox in one call',
    without: 'no sandbox can be made',
    remedy: 'Linux 5.8 or later',
  },
  set_tid: {
    group: 'required',
    name: 'clone3 with set_tid',
    purpose: 'the pid of a zygote is chosen, so that its forks draw random numbers of their own',
    without: 'no zone can be made',
    remedy: 'Linux 5.5 or later; a seccomp profile that allows clone3',
  },
  pidfd: {
    group: 'required',
    name: 'pidfd',
    purpose: 'processes are named and killed by descriptors, which are never those of another',
    without: 'no sandbox can be made',
    remedy: 'Linux 5.3 or later; a seccomp profile that allows clone3 and pidfd_open',
  },
  openat2: {
    group: 'required',
    name: 'openat2',
    purpose: 'paths of an image are opened inside of its root, whatever its links say',
    without: 'no sandbox can be made',
    remedy: 'Linux 5.6 or later',
  },
  mount_setattr: {
    group: 'required',
    name: 'open_tree, mount_setattr, move_mount',
    purpose: 'layers are laid into zones read-only, by descriptors',
    without: 'the launcher does not start',
    remedy: 'Linux 5.12 or later',
  },
  fsopen: {
    group: 'required',
    name: 'fsopen, fsconfig, fsmount, fspick',
    purpose: "a sandbox's writable layer is made before it, and sized for its one run",
    without: 'no sandbox can be made',
    remedy: 'Linux 5.6 or later',
  },
  devices: {
    group: 'required',
    name: 'device nodes',
    purpose: 'each zone has a /dev/null and the like of its own, so that no lock on one is seen by another',
    without: 'no zone can be made',
    remedy: 'run as root; in a container: --privileged, or CAP_MKNOD and devices 1:3, 1:5, 1:7, 1:8 and 1:9',
  },
  close_range: {
    group: 'required',
    name: 'close_range',
    purpose: 'a process that is handed to a program keeps no descriptor of ours',
    without: 'no sandbox can be made',
    remedy: 'Linux 5.11 or later',
  },
  overlay: {
    group: 'required',
    name: 'overlayfs in a user namespace',
    purpose: "a sandbox's root is a writable layer above its image's",
    without: 'no sandbox can be made',
    remedy: 'Linux 5.11 or later, with CONFIG_OVERLAY_FS; modprobe overlay',
  },
  'overlay-directory': {
    group: 'required',
    name: 'overlayfs above the data directory',
    purpose: 'the layers of images lie there',
    without: 'no sandbox can be made on these layers',
    remedy:
      'put ONCEBOX_DATA_DIR (or ONCEBOX_STORE_DIR) on ext4, xfs or btrfs; not on NFS, FUSE or an overlay of overlays',
  },
  pivot_root: {
    group: 'required',
    name: 'pivot_root',
    purpose: 'a sandbox has no way back to the root of the host',
    without: 'no zone can be made',
    remedy: 'run outside of a chroot; in a container: --privileged',
  },
  seccomp: {
    group: 'required',
    name: 'seccomp filters',
    purpose: 'sandboxes are kept to the system calls that programs need',
    without: 'no sandbox can be made',
    remedy: 'a kernel with CONFIG_SECCOMP_FILTER, 4.14 or later',
  },
  'tmpfs-xattr': {
    group: 'better',
    name: 'user xattrs on tmpfs',
    purpose: 'directories of an image can be renamed and replaced in a sandbox',
    without:
      'renaming a directory that comes from the image fails with EXDEV; /tmp and /work are not concerned',
    remedy: 'Linux 6.6 or later, with CONFIG_TMPFS_XATTR',
  },
};

/** Does to the kernel what oncebox does. `directory` exists, and layers lie or will lie there. */
export async function tryKernel(directory: string): Promise<Feature[]> {
  const tries = await runTries(directory).catch((error: Error) => error);
  if (tries instanceof Error) {
    return Object.values(descriptions).map((one) => featureOf(one, 'unseen', reasonOf(tries)));
  }
  const isRoot = process.getuid?.() === 0;
  const features: Feature[] = [];
  for (const [key, description] of Object.entries(descriptions)) {
    const tried = tries.find(({ name }) => name === key);
    if (!tried) continue;
    const { ok, errno, step } = tried;
    const found = ok ? 'works' : [errno === '0' ? undefined : errno, step].filter(Boolean).join(': ');
    // What an ordinary user is refused, root may have.
    const isUnseen = !ok && !isRoot && ['EPERM', 'EACCES', 'EINVAL'].includes(errno ?? '');
    features.push(featureOf(description, ok ? 'there' : isUnseen ? 'unseen' : 'missing', found));
  }
  return [...features, ...ordinaryUsers(tries)];
}

/** No feature of ours: an attack surface of the kernel that the platform's own services need not have. */
function ordinaryUsers(tries: readonly Try[]): Feature[] {
  const tried = tries.find(({ name }) => name === 'ordinary-user-namespaces');
  if (!tried) return [];
  const description: Description = {
    group: 'isolation',
    name: 'no user namespaces for ordinary users',
    purpose:
      "much of the kernel can be reached only by who has a user namespace; sandboxes' filters refuse them anyway",
    without: 'a gateway or worker that was broken into could make one, as any user of the host can',
    remedy:
      'sysctl kernel.unprivileged_userns_clone=0 (Debian) or kernel.apparmor_restrict_unprivileged_userns=1 (Ubuntu), unless rootless containers or browsers need them',
  };
  return [featureOf(description, tried.ok ? 'weak' : 'there', tried.ok ? 'they can make them' : 'refused')];
}

async function runTries(directory: string): Promise<Try[]> {
  const program = join(native, 'build/oncebox-probe-features');
  const isBuilt = await access(program).then(
    () => true,
    () => false,
  );
  if (!isBuilt) await run('make', ['-s', '-C', native, 'build/oncebox-probe-features']);
  const { stdout } = await run(program, [directory], { timeout: 180_000 });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Try);
}

function reasonOf(error: Error): string {
  return `cannot be tried: ${error.message.split('\n').find((line) => line !== '')}`;
}
