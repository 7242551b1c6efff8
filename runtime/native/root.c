/*
 * root.c: what the roots of zones and builds are put together from. A mount is taken by its path while the host's tree
 * is still there, and placed once the new root is. Devices are made before, by the host's root.
 */
#define _GNU_SOURCE
#include "oncebox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* devices.txt of the kernel: all of them are of major 1. */
static const struct {
  const char *name;
  unsigned minor;
} devices[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
static const char *const links[][2] = {
    {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}};

int root_clone_tree(const char *path) {
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) die("cannot take %s into a new root: %m", path);
  return fd;
}

void root_place_tree(int tree, const char *path, uint64_t attributes) {
  struct mount_attr attr = {.attr_set = attributes};
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
    die("cannot restrict %s: %m", path);
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    die("cannot place %s: %m", path);
  close(tree);
}

void root_make_dir(const char *path) {
  if (mkdir(path, 0755) < 0 && errno != EEXIST) die("cannot make %s: %m", path);
}

void root_make_link(const char *target, const char *path) {
  if (symlink(target, path) < 0) die("cannot link %s: %m", path);
}

static int fill_devices(int dir) {
  for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
    if (mknodat(dir, devices[i].name, S_IFCHR, makedev(1, devices[i].minor)) < 0 ||
        fchmodat(dir, devices[i].name, 0666, 0) < 0) /* umask has had its say */
      return -1;
  for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
    if (symlinkat(links[i][0], dir, links[i][1]) < 0) return -1;
  /* Every shell, and every build, mounts its own there. */
  return mkdirat(dir, "shm", 0755) < 0 || fchmodat(dir, "shm", 0755, 0) < 0 ? -1 : 0;
}

/* Nodes of its own: locks belong to an inode, and on the host's all zones and the host itself would see each other's. In a user
 * namespace nobody can make any, and on what is mounted there none can be opened. Read-only is the directory; what is
 * written to a device still arrives. */
int root_make_devices(void) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
  char owner[16];
  snprintf(owner, sizeof(owner), "%u", ID_BASE); /* the root of images, as in any container */
  int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), tree = -1;
  if (context < 0) return -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "64k", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "nr_inodes", "32", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "uid", owner, 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "gid", owner, 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  int saved = errno;
  close(context);
  errno = saved;
  if (tree < 0) return -1;
  if (fill_devices(tree) == 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0) return tree;
  saved = errno;
  close(tree);
  errno = saved;
  return -1;
}

/* /dev of every sandbox: no tty, no shared memory of the host. A mount of its own, so that shells can bind it alone. */
void root_place_devices(int tree) {
  root_make_dir(ROOT_PLACE "/dev");
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, ROOT_PLACE "/dev", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    die("cannot place /dev: %m");
  close(tree);
}

/* What tells of the host, or is dangerous where a kernel has a bug: all of it is of no use to a program in a sandbox. Most
 * of it only the host's root may open anyhow. What interpreters and tools read of the machine stays: cpuinfo, meminfo,
 * stat, loadavg, uptime, version, filesystems, sys. */
static const char *const masked[] = {
    /* memory, symbols and logs of the kernel; the keys of others */
    "kcore", "kmsg", "kallsyms", "keys", "key-users", "config.gz", "modules", "iomem",
    /* what acts on the machine */
    "sysrq-trigger", "acpi", "scsi", "asound", "bus", "irq", "fs",
    /* what others on the machine do: their timers, tasks, locks, disks, interrupts; and how it was started */
    "timer_list", "timer_stats", "sched_debug", "latency_stats", "locks", "interrupts", "diskstats", "partitions", "swaps", "pressure",
    "cmdline",
};
#define MASKED (sizeof(masked) / sizeof(masked[0]))
#define MASK_FILE "/masked/file"
#define MASK_DIRECTORY "/masked/directory"

static enum { NOT_THERE, A_FILE, A_DIRECTORY } masked_kinds[MASKED];

/* In a new root, before it is entered: what masks are clones of. Nobody may read it but its owner, who is nobody's user. */
void root_make_masks(const char *proc) {
  root_make_dir(ROOT_PLACE "/masked");
  int fd = open(ROOT_PLACE MASK_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0);
  if (fd < 0 || fchmod(fd, 0) < 0) die("cannot make what masks files of /proc: %m");
  close(fd);
  root_make_dir(ROOT_PLACE MASK_DIRECTORY);
  if (chmod(ROOT_PLACE MASK_DIRECTORY, 0) < 0) die("cannot make what masks directories of /proc: %m");
  /* A mount of its own: each clone of it has its flags. */
  root_place_tree(root_clone_tree(ROOT_PLACE "/masked"), ROOT_PLACE "/masked",
                  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  /* Every proc of a kernel has the same, so it is asked once and not for each sandbox. */
  int dir = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) die("cannot open %s: %m", proc);
  for (size_t i = 0; i < MASKED; i++) {
    struct stat file;
    if (fstatat(dir, masked[i], &file, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) die("cannot look at %s of /proc: %m", masked[i]);
      continue;
    }
    masked_kinds[i] = S_ISDIR(file.st_mode) ? A_DIRECTORY : A_FILE;
  }
  close(dir);
}

/* The working directory is a proc that the sandbox or zygote is to see. -1 with errno. */
int root_mask_proc(void) {
  for (size_t i = 0; i < MASKED; i++)
    if (masked_kinds[i] != NOT_THERE &&
        mount(masked_kinds[i] == A_FILE ? MASK_FILE : MASK_DIRECTORY, masked[i], NULL, MS_BIND, NULL) < 0)
      return -1;
  return 0;
}

void root_pivot(const char *root) {
  if (chdir(root) < 0) die("cannot enter %s: %m", root);
  if (syscall(SYS_pivot_root, ".", ".") < 0) die("cannot pivot into %s: %m", root);
  if (umount2(".", MNT_DETACH) < 0) die("cannot leave the old root: %m");
  if (chdir("/") < 0) die("cannot enter /: %m");
}
