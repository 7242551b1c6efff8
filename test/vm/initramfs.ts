import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** In the order in which they depend on each other; what this kernel has built in is not there and not needed. */
const modules = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'netfs',
  'fscache',
  '9pnet',
  '9pnet_virtio',
  '9p',
  'overlay',
  'veth',
];

export const mountTag = 'host';

interface InitramfsOptions {
  /** Written to; removed and made anew. */
  workDir: string;
  busybox: string;
  /** `lib/modules` of the unpacked kernel package. */
  modulesDir: string;
  /** Shell command that becomes the guest's first process, in the host's root. */
  command: string;
}

/** A root of one shell script that finds the host's over 9p and becomes it. Resolves with the archive's path. */
export async function buildInitramfs(options: InitramfsOptions): Promise<string> {
  const root = join(options.workDir, 'root');
  const archive = join(options.workDir, 'initramfs.gz');
  await rm(root, { recursive: true, force: true });
  for (const name of ['bin', 'dev', 'proc', 'sys', 'modules', 'host']) {
    await mkdir(join(root, name), { recursive: true });
  }
  await copyFile(options.busybox, join(root, 'bin/busybox'));
  const found = await findModules(options.modulesDir);
  for (const path of found) await copyFile(path, join(root, 'modules', basename(path)));
  await writeFile(
    join(root, 'init'),
    initScript(
      found.map((path) => basename(path)),
      options.command,
    ),
  );
  await chmod(join(root, 'init'), 0o755);
  await run('sh', ['-c', 'find . | cpio --quiet -o -H newc | gzip -1 > "$1"', 'sh', archive], { cwd: root });
  return archive;
}

async function findModules(directory: string): Promise<string[]> {
  const files = await readdir(directory, { recursive: true });
  return modules.flatMap((name) => {
    const path = files.find((file) => basename(file) === `${name}.ko`);
    return path === undefined ? [] : [join(directory, path)];
  });
}

/**
 * switch_root and not chroot: in a chroot the kernel refuses new user namespaces. The host's root is read-only;
 * what must be written goes to /run and not to /tmp, where the checkout may be. The command is read from a file, as
 * it was quoted for one shell and not for two.
 */
function initScript(names: readonly string[], command: string): string {
  return `#!/bin/busybox sh
b=/bin/busybox
fail() { echo "guest: cannot $1"; $b poweroff -f; }
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
${names.map((name) => `$b insmod /modules/${name} || fail "load ${name}"`).join('\n')}
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288,access=any ${mountTag} /host || fail "mount the host"
$b mount -t tmpfs tmpfs /host/run
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup || fail "mount cgroup2"
for place in dev proc sys; do $b mount --move /$place /host/$place; done
$b cp /bin/busybox /host/run/busybox
$b cat > /host/run/guest.sh <<'END'
${command}
/run/busybox sleep 5 # for the console to drain
echo o > /proc/sysrq-trigger
/run/busybox sleep 60
END
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run
exec $b switch_root /host /run/busybox sh /run/guest.sh
`;
}
